# Recipes for daily work. `just` alone lists them.

set positional-arguments

_default:
    @{{ just_executable() }} --list --unsorted

# Build everything for development.
[group('develop')]
build:
    cargo build --workspace

# Run every test that needs neither Docker nor the release binary. Arguments go to `cargo test`.
[group('develop')]
test *arguments:
    cargo test --workspace "$@"

# Plant faults in local labs; exactly the right checks must fail.
[group('test')]
faults *arguments:
    cargo test --locked -p e2e --test local planted "$@"

# Start exporter, Prometheus, Alertmanager and Grafana, print links, and stay until Ctrl-C. Arguments go to `lab up`.
[group('develop')]
lab *arguments:
    cargo lab "$@"

# Start the lab, run every check, stop it. Arguments go to `lab check`.
[group('develop')]
check *arguments:
    cargo lab check "$@"

# Rewrite docs/load-spike.txt, the output of a scenario.
[group('develop')]
recording:
    cargo run --quiet -p e2e --bin lab -- scenario run load-spike | tee docs/load-spike.txt

# Run what CI runs.
[group('develop')]
ci:
    .ci/run

# Rewrite generated files: prometheus-operator's copy of the rules, the runbook's address in alerts.
[group('develop')]
manifests:
    UPDATE_MANIFESTS=1 cargo test --quiet -p e2e --test contract written

# Lint manifests, rules and dashboard with the installed linters; list the missing ones.
[group('develop')]
lint-manifests:
    scripts/lint-manifests

# Lint the workflows and the scripts.
[group('develop')]
lint-workflows:
    scripts/lint-workflows

# Build dist/mini-node-exporter, the static binary that Dockerfile copies.
[group('ship')]
dist:
    scripts/dist

# Measure that binary on disk and its resident memory after 10,000 scrapes; fail when over budget.
[group('ship')]
size: dist
    scripts/size

# Build that binary in two directories and compare the bytes.
[group('ship')]
repeat:
    scripts/repeat

# Check the crates against deny.toml: licences, bans, sources. Needs cargo-deny.
[group('ship')]
deny:
    cargo deny --locked check bans licenses sources

# Run every step of a release that needs no registry, and check the results. TAG (`v1.2.3`) must match the version.
[group('ship')]
release-check *tag:
    scripts/release-check "$@"

# Change our rules one clause at a time, and list the changes that no unit test notices. Takes minutes; `--only arm` or `--only RULE` less.
[group('test')]
mutate *arguments:
    scripts/mutate "$@"

# Measure the cost of a scrape beside a floor and node_exporter; writes docs/bench.json. Arguments such as `--peer NAME=COMMAND`.
[group('test')]
bench *arguments: dist
    scripts/bench "$@"

# Check a scrape of that binary against its budgets: system calls, instructions, threads. Needs strace and valgrind.
[group('test')]
budgets: dist
    scripts/budgets

# Measure the cost of a node in simulated fleets of 10 to 1000 (or COUNTS). Takes minutes.
[group('test')]
bench-fleet *counts:
    scripts/bench-fleet "$@"

# Test the image in Docker: privileges, answers, shutdown. LAB_AIRGAP=1 needs no registry.
[group('test')]
e2e-container *arguments:
    cargo test --locked --manifest-path e2e/container/Cargo.toml --target-dir target -- --ignored "$@"

# Test the whole stack in a kind cluster, with the pinned images.
[group('test')]
e2e *arguments:
    cargo test --locked -p e2e --test cluster -- --ignored "$@"

# The same where no image registry can be reached: images made of Debian packages and Go modules, built if they are not there.
[group('test')]
e2e-airgap *arguments:
    cargo run --locked --quiet -p e2e --bin lab -- images build --airgap
    LAB_AIRGAP=1 cargo test --locked -p e2e --test cluster -- --ignored "$@"

# Attack the release binary over loopback: idle crowds, slow clients, garbage, signals. Takes two minutes.
[group('test')]
abuse *arguments:
    cargo test --locked -p e2e --test abuse -- --ignored --skip a_million --skip in_a_cgroup --test-threads 1 "$@"

# Test the exporter on a procfs tree that hangs. Needs /dev/fuse, and root or fusermount3.
[group('test')]
hanging *arguments:
    cargo test --locked --manifest-path exporter/hanging/Cargo.toml --target-dir target -- --ignored "$@"

# Scrape the release binary a million times (or COUNT times); fail when memory or descriptors grow. Takes minutes.
[group('test')]
soak count="1000000":
    SOAK_SCRAPES={{ count }} cargo test --locked -p e2e --test abuse -- --ignored --nocapture a_million

# Fuzz the request head for SECONDS under an address sanitizer. Needs a nightly compiler and `cargo install cargo-fuzz`; scripts/fuzz needs neither.
[group('test')]
fuzz seconds="60":
    mkdir -p exporter/fuzz/corpus/request_head
    cd exporter && cargo +nightly fuzz run request_head fuzz/corpus/request_head fuzz/seeds -- -max_total_time={{ seconds }} -timeout=5
