// Lets the search of the documentation work from disk. Browsers start no worker for a page that was
// opened as a file, so the worker's script runs in a hidden frame of that page instead. mkdocs.yml
// names this file; mkdocs-material looks for `iframe-worker` in its name.

if (location.protocol === 'file:') {
  window.Worker = class extends EventTarget {
    #scope;

    constructor(script) {
      super();
      const frame = document.createElement('iframe');
      frame.hidden = true;
      frame.srcdoc = `<!doctype html><script src="${new URL(script, location)}"></script>`;
      this.#scope = new Promise((resolve) => {
        frame.addEventListener('load', () => {
          const scope = frame.contentWindow;
          scope.postMessage = (data) => this.dispatchEvent(new MessageEvent('message', { data }));
          resolve(scope);
        });
      });
      document.body.append(frame);
    }

    // A worker gets a copy of what it is sent.
    async postMessage(message) {
      const data = structuredClone(message);
      (await this.#scope).dispatchEvent(new MessageEvent('message', { data }));
    }
  };
}
