// ESLint's rules for the scripts of pages, matrix/report/templates/**/*.js, and of docs/.
//
// A page joins the files of a list, in that order, into one scope: the report has scripts.json, a
// page of the site two lists of site/scripts.json. Each file declares a single name, its own:
// grid.js declares `grid`. In each file ESLint knows only the names of the files before it, so the
// rule no-undef refuses every circle among the files.

import { readFileSync } from 'node:fs';
import js from '@eslint/js';

const TEMPLATES = 'matrix/report/templates';
const listed = (name) => JSON.parse(readFileSync(new URL(`${TEMPLATES}/${name}`, import.meta.url), 'utf8'));
const nameOf = (file) => file.replace(/^.*\/|\.js$/g, '');

// Each file with the files before it. Those that several pages have are listed more than once; the
// last rules hold, and are the same.
const { every, ...kinds } = listed('site/scripts.json');
const LISTS = [listed('scripts.json'), ...Object.values(kinds).map((files) => [...every, ...files])];
const SCRIPTS = LISTS.flatMap((files) =>
  files.map((file, place) => ({ file, before: files.slice(0, place) })),
);

// The names of the browser that the script uses. They are listed one by one because the full list
// has names such as `open`, `status` and `stop`: with it, ESLint would not find out that the script
// lacks a variable of that name.
const BROWSER = [
  'atob',
  'Blob',
  'DecompressionStream',
  'document',
  'getComputedStyle',
  'getSelection',
  'history',
  'localStorage',
  'location',
  'navigator',
  'ResizeObserver',
  'Response',
  'URLSearchParams',
  'window',
];

const readonly = (names) => Object.fromEntries(names.map((name) => [name, 'readonly']));

const oneName = (name) => [
  'error',
  {
    selector: `Program > :not(ExpressionStatement, VariableDeclaration[declarations.0.id.name='${name}'])`,
    message: `At its top level this file may declare only '${name}': move everything else into its function.`,
  },
];

export default [
  js.configs.recommended,
  {
    rules: {
      'max-len': ['error', { code: 110, comments: 100 }],
      'no-shadow': ['error', { builtinGlobals: true, hoist: 'all' }],
    },
  },
  { files: ['eslint.config.mjs'], languageOptions: { globals: readonly(['URL']) } },
  {
    files: ['docs/*.js'],
    languageOptions: {
      sourceType: 'script',
      globals: readonly([...BROWSER, 'EventTarget', 'MessageEvent', 'structuredClone', 'URL']),
    },
  },
  {
    files: [`${TEMPLATES}/**/*.js`],
    languageOptions: { sourceType: 'script', parserOptions: { ecmaFeatures: { impliedStrict: true } } },
    rules: { 'no-unused-vars': ['error', { vars: 'local' }] }, // later files use the name at the top level
  },
  ...SCRIPTS.map(({ file, before }) => ({
    files: [`${TEMPLATES}/${file}`],
    languageOptions: { globals: readonly([...BROWSER, ...before.map(nameOf)]) },
    rules: { 'no-restricted-syntax': oneName(nameOf(file)) },
  })),
];
