# The habits of this repository, one recipe each. `just` alone lists them.

set positional-arguments

_default:
    @{{ just_executable() }} --list --unsorted

# Build everything for development.
[group('develop')]
build:
    cargo build --workspace

# Run every test that needs neither Docker nor the release binary: units, snapshots, the binary, the local stack. Arguments go to `cargo test`.
[group('develop')]
test *arguments:
    cargo test --workspace "$@"

# Plant faults in a local lab, one after the other: exactly the right checks have to fail of each.
[group('prove')]
faults *arguments:
    cargo test --locked -p e2e --test local planted "$@"

# Stand the lab up: exporter, Prometheus and Grafana, with links, until Ctrl-C. Arguments go to `lab up`.
[group('develop')]
lab *arguments:
    cargo lab "$@"

# Stand the lab up, run every check, take it down. Arguments go to `lab check`.
[group('develop')]
check *arguments:
    cargo lab check "$@"

# Write docs/load-spike.txt anew: a recording of a scenario that is played.
[group('develop')]
recording:
    cargo run --quiet -p e2e --bin lab -- scenario run load-spike | tee docs/load-spike.txt

# Run what CI runs.
[group('develop')]
ci:
    .ci/run

# Write the files that are made from others: prometheus-operator's copy of the rules, the runbook's address in alerts.
[group('develop')]
manifests:
    UPDATE_MANIFESTS=1 cargo test --quiet -p e2e --test contract written

# Run the linters of manifests, rules and dashboard that are at hand, and say which are not.
[group('develop')]
lint-manifests:
    scripts/lint-manifests

# Run the linters of the workflows and of the scripts that they run.
[group('develop')]
lint-workflows:
    scripts/lint-workflows

# Build dist/mini-node-exporter: the exporter as one static binary, which Dockerfile puts into an image.
[group('ship')]
dist:
    scripts/dist

# Print the bytes of that binary, on disk and resident after 10,000 scrapes, and fail where they are over budget.
[group('ship')]
size: dist
    scripts/size

# Build that binary twice, in two directories, and fail unless both are the same bit for bit.
[group('ship')]
repeat:
    scripts/repeat

# Hold the crates against deny.toml: licences, bans, sources. Needs cargo-deny.
[group('ship')]
deny:
    cargo deny --locked check bans licenses sources

# Take every step of a release that needs no registry, and hold what it made. With TAG (`v1.2.3`), the version has to be its.
[group('ship')]
release-check *tag:
    scripts/release-check "$@"

# Measure what a scrape costs beside a floor and node_exporter: a table, and docs/bench.json. Arguments as `--peer NAME=COMMAND`.
[group('prove')]
bench *arguments: dist
    scripts/bench "$@"

# Hold a scrape of that binary against its budgets: system calls, instructions, threads. Needs strace and valgrind.
[group('prove')]
budgets: dist
    scripts/budgets

# Print what a node of a simulated fleet costs, for fleets of 10 to 1000 (or COUNTS). Minutes.
[group('prove')]
bench-fleet *counts:
    scripts/bench-fleet "$@"

# Prove the image: how it runs without any privilege, what it answers, how it ends. LAB_AIRGAP=1 needs no registry.
[group('prove')]
e2e-container *arguments:
    cargo test --locked --manifest-path e2e/container/Cargo.toml --target-dir target -- --ignored "$@"

# Prove the whole stack in a kind cluster, with the pinned images.
[group('prove')]
e2e *arguments:
    cargo test --locked -p e2e --test cluster -- --ignored "$@"

# The same where no image registry can be reached: images made of Debian packages, built if they are not there.
[group('prove')]
e2e-airgap *arguments:
    cargo run --locked --quiet -p e2e --bin lab -- images build --airgap
    LAB_AIRGAP=1 cargo test --locked -p e2e --test cluster -- --ignored "$@"

# Attack the binary that is shipped, over loopback: idle crowds, slow clients, garbage, signals. About two minutes.
[group('prove')]
abuse *arguments:
    cargo test --locked -p e2e --test abuse -- --ignored --skip a_million --test-threads 1 "$@"

# Let a procfs tree hang under it, on a real FUSE: needs /dev/fuse, and root or fusermount3.
[group('prove')]
hanging *arguments:
    cargo test --locked -p mini-node-exporter --test hanging -- --ignored "$@"

# Scrape it a million times (or COUNT times), and fail unless its memory and descriptors stay as they are. Minutes.
[group('prove')]
soak count="1000000":
    SOAK_SCRAPES={{ count }} cargo test --locked -p e2e --test abuse -- --ignored --nocapture a_million

# Fuzz the request head for SECONDS. Needs a nightly compiler and `cargo install cargo-fuzz`.
[group('prove')]
fuzz seconds="60":
    mkdir -p exporter/fuzz/corpus/request_head
    cd exporter && cargo +nightly fuzz run request_head fuzz/corpus/request_head fuzz/seeds -- -max_total_time={{ seconds }} -timeout=5
