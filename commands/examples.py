"""Two examples of each task, which its `--help` shows: the words after the command."""

EXAMPLES = {
    "accept": (
        "accept --why 'read the night of 3 May'",
        "accept --run 2026-05-03T02-00-00 --why 'as upstream intends'",
    ),
    "bench": ("bench --list", "bench cells --json cells.json"),
    "bisect": (
        "bisect max-zero:written 6.18 7.2",
        "bisect 'inwindow-rst[offset=inside]:lifetime' 6.1 6.12 --markdown",
    ),
    "cache": ("cache", "cache --json"),
    "catalogue": ("catalogue", "catalogue --help"),
    "ci": ("ci", "ci --key"),
    "compare": ("compare 6.1 6.12", "compare latest:6.12 reference:6.12 --json"),
    "completion": ("completion bash", "completion fish"),
    "controls": ("controls", "controls -k 6.12 -e 'udp-*'"),
    "doctor": ("doctor", "doctor --accel tcg"),
    "experiments": ("experiments", "experiments --new my-question"),
    "export": ("export tap", "export csv --run reference --output facts.csv"),
    "history": ("history", "history table-full.mangle_packets --json"),
    "kernels": ("kernels", "kernels --offline --json"),
    "lock": ("lock", "lock --upgrade"),
    "manual": ("manual", "manual --help"),
    "matrix": ("matrix -k 6.1 -k 6.12", "matrix -k '6.12.*' -e 'table-full[scope=root]'"),
    "mcp": ("mcp", "mcp --help"),
    "nightly": ("nightly --locked", "nightly --notify slack:SLACK_URL --only-unexplained"),
    "prune": ("prune", "prune --keep 5GB"),
    "reference": ("reference", "reference --run latest"),
    "replay": (
        "replay latest 6.12.118/max-zero",
        "replay latest 6.12.118/max-zero --json",
    ),
    "scheduler": ("scheduler --host 10.0.0.1", "scheduler --port 8788"),
    "script": ("script ./check.sh -k 6.1 -k 6.12", "script ./check.sh --user -- --verbose"),
    "shell": ("shell 6.12", "shell 6.12 --command 'uname -r'"),
    "suite": (
        "suite directory:./tests -k 6.1 -k 6.12",
        "suite selftests:tree:../linux -k 6.12 --only 'nft_*'",
    ),
    "test": ("test --only unit", "test --only guest -k machine"),
    "upgrade": ("upgrade 6.1 6.12", "upgrade 6.1 6.12 --markdown"),
    "verdict": (
        "verdict max-zero:written=1 -k tree:../linux",
        "verdict 'inwindow-rst[offset=inside]:lifetime=10 s' -k 6.12",
    ),
    "worker": ("worker tls://10.0.0.1:8786", "worker tls://10.0.0.1:8786 --slots 2"),
}
