# shellcheck shell=sh
# Sourced by every script of this directory: names, keys, and what more than one step does.

set -eu
umask 022
export LC_ALL=C
# Every engine has the legacy builder; BuildKit's output and flags differ between versions.
export DOCKER_BUILDKIT=0

airgap=$(cd "$(dirname "$0")" && { [ -e lib.sh ] || cd ..; } && pwd)
: "${CACHE:?the directory that packages, programs and build contexts go to}"
label=org.mini-node-exporter.airgap

say() { printf '%s\n' "$*"; }

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# Every name depends on what Debian has.
[ "${0##*/}" = fetch ] || [ -e "$CACHE/fetched" ] || die "nothing fetched yet into $CACHE: run the step \`fetch\` first"

# The key of a piece changes with every file in its directory, with the versions of its Debian packages, and with the keys
# of what it is made from.
key() {
    {
        (cd "$airgap/$1" && find . -type f | sort | xargs sha256sum)
        if [ -e "$CACHE/$1.debs" ]; then cat "$CACHE/$1.debs"; fi
        case $1 in
            node) key base && key programs ;;
            prometheus) key programs ;;
        esac
    } | sha256sum | cut -c 1-12
}

image() { say "mini-node-exporter/airgap-$1:$(key "$1")"; }

# Where the compiled programs are.
programs() { say "$CACHE/programs-$(key programs)"; }

# Whether the machine's Go is one that fetches others.
has_go() {
    minor=$(go env GOVERSION 2>/dev/null | sed -n 's/^go1\.\([0-9]*\).*/\1/p')
    [ "${minor:-0}" -ge 21 ]
}

# Prepares for `require` and `compile`.
use_go() {
    has_go || PATH=$CACHE/go-toolchain/usr/lib/go-1.24/bin:$PATH
    export GOTOOLCHAIN=auto GOPATH="$CACHE/go" GOCACHE="$CACHE/go/build" GOFLAGS=-mod=mod GOWORK=off CGO_ENABLED=0
    mkdir "$work/out"
}

# Makes a module that requires this one, and changes into it: `go install` refuses modules that replace others.
# require MODULE@VERSION [REPLACEMENT…]
require() {
    module=$1
    shift
    mkdir -p "$work/${module##*/}"
    cd "$work/${module##*/}"
    go mod init airgap 2>/dev/null
    for replacement; do go mod edit -replace "$replacement"; done
    say "fetching $module"
    go get "$module"
}

# Compiles packages of that module into `$work/out`: compile PACKAGE… [-tags TAGS]
compile() {
    say "compiling $*"
    go build -trimpath -gcflags all=-dwarf=false -ldflags "-s -w ${ldflags:-}" -o "$work/out/" "$@"
}

have() { docker image inspect "$1" >/dev/null 2>&1; }

# Sets `ref`, and ends the step when that image is there already, or when no later step needs it.
unless_built() {
    ref=$(image "$1")
    if have "$ref"; then
        say "$ref is up to date"
        exit 0
    elif [ "$1" = base ] && have "$(image node)"; then
        say "$ref is not needed: the node image is up to date"
        exit 0
    fi
    say "building $ref"
}

# Makes a scratch directory for build contexts, and a name for temporary images. Both are removed when the step ends,
# however it ends.
scratch() {
    work=$(mktemp -d "$CACHE/build.XXXXXX")
    temporary=mini-node-exporter/airgap-work-${work##*.}
    # Docker wants small letters.
    temporary=$(say "$temporary" | tr '[:upper:]' '[:lower:]')
    trap cleanup EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
}

cleanup() {
    status=$?
    chmod -R u+w "$work"
    rm -rf "$work"
    {
        docker ps --all --quiet --filter "name=airgap-${work##*.}" | xargs -r docker rm --force
        docker images --format '{{.Repository}}' "$temporary-*" | xargs -r docker image rm --force
    } >/dev/null 2>&1 || true
    exit "$status"
}

# Builds an image from a directory, without a network: build NAME DIR [ARGS…]
build() {
    name=$1 dir=$2
    shift 2
    docker build --quiet --network none --force-rm --tag "$name" --label "$label.key=${name##*:}" "$@" "$dir" >/dev/null
}

built() { say "$ref is built: $(docker image inspect --format '{{.Size}}' "$ref" | awk '{ printf "%d MB", $1 / 1000000 }')"; }

# Unpacks the packages of a piece. In this release the directories of old are links into /usr, though packages still ship
# both: unpack PIECE DIR
unpack() {
    for dir in bin sbin lib lib64; do
        mkdir -p "$2/usr/$dir"
        ln -s "usr/$dir" "$2/$dir"
    done
    while read -r deb; do
        dpkg-deb --fsys-tarfile "$CACHE/pool/$deb" >"$work/deb.tar" || die "cannot read $CACHE/pool/$deb"
        tar -x --file "$work/deb.tar" --directory "$2" --keep-directory-symlink --no-same-owner --preserve-permissions
    done <"$CACHE/$1.debs"
    rm "$work/deb.tar"
}
