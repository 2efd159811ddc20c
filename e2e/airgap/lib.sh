# shellcheck shell=sh
# Sourced by every script of this directory: names, keys, and the few docker idioms that more than one step needs.

set -eu
umask 022
export LC_ALL=C
# BuildKit would ask a registry for nothing here, but its output and its flags differ between versions; the legacy
# builder is in every engine.
export DOCKER_BUILDKIT=0

airgap=$(cd "$(dirname "$0")" && { [ -e lib.sh ] || cd ..; } && pwd)
: "${CACHE:?the directory that packages and build contexts go to}"
repository=mini-node-exporter/airgap
label=org.mini-node-exporter.airgap

say() { printf '%s\n' "$*"; }

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# Every name depends on what Debian has.
[ "${0##*/}" = fetch ] || [ -e "$CACHE/fetched" ] || die "nothing fetched yet into $CACHE: run the step \`fetch\` first"

# The key of a piece changes with every file in its directory, with the version of every Debian package in it, and with
# the key of what it is built from.
#
# `kubernetes` depends on its source and recipe alone: its binaries are static, and an update of the compiler or of the
# image around it is not worth another ten minutes.
key() {
    {
        (cd "$airgap/$1" && find . -type f | sort | xargs sha256sum)
        case $1 in
            kubernetes) source_version ;;
            base | prometheus) debs "$1" ;;
            control-plane) debs "$1" && key kubernetes ;;
            node) debs "$1" && key base && key control-plane ;;
            *) die "no such piece: $1" ;;
        esac
    } | sha256sum | cut -c 1-12
}

image() { say "$repository-$1:$(key "$1")"; }

source_version() { cat "$CACHE/kubernetes.version"; }

# The file names of a piece's packages, versions included; without those that `base` has.
debs() { cat "$CACHE/$1.debs"; }

have() { docker image inspect "$1" >/dev/null 2>&1; }

# Docker would ask a registry for an image that it does not have.
needs() { have "$1" || die "no image $1: run the earlier steps first"; }

# Ends the step when its image is there already, or when no later step will ask for it.
unless_built() {
    ref=$(image "$1")
    if have "$ref"; then
        say "$ref is up to date"
        exit 0
    fi
    case $1 in
        base | kubernetes | control-plane)
            if have "$(image node)"; then
                say "$ref is not needed: the node image is up to date"
                exit 0
            fi
            ;;
    esac
    say "building $ref"
}

# A scratch directory for build contexts, and a label by which every temporary image and container of this step is found
# and removed when the step ends, however it ends.
scratch() {
    mkdir -p "$CACHE"
    work=$(mktemp -d "$CACHE/build.XXXXXX")
    mark=$label.work=$$-$(date +%s)
    temporary=$repository-work:${mark##*=}
    trap cleanup EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
}

cleanup() {
    status=$?
    {
        rm -rf "$work"
        docker ps --all --quiet --filter "label=$mark" | xargs -r docker rm --force
        docker image rm --force "$temporary" "$temporary-from" "$temporary-flat"
        docker image prune --force --filter "label=$mark"
    } >/dev/null 2>&1
    exit "$status"
}

# Builds $temporary from a directory, on top of an image: build DIR FROM [ARGS…]
#
# All layers inherit the mark from what they stand on, so that even those of a failed build are found. Nothing is
# fetched while an image is built: all packages are on disk by then.
build() {
    context=$1 from=$2
    shift 2
    needs "$from"
    printf 'FROM %s\nLABEL %s\n' "$from" "$mark" | docker build --quiet --tag "$temporary-from" - >/dev/null
    docker build --network none --force-rm --build-arg "FROM=$temporary-from" --tag "$temporary" "$@" "$context"
}

# Makes the final image from a directory of $temporary, as a single layer: what was only needed to build it takes no
# space. keep DIR PIECE [DOCKERFILE LINES…]
keep() {
    container=$(docker create --label "$mark" "$temporary" true)
    from=$1 piece=$2
    shift 2
    case $from in
        /) docker export "$container" ;;
        *) docker cp "$container:$from/." - ;;
    esac | docker import - "$temporary-flat" >/dev/null
    docker rm "$container" >/dev/null
    finish "$piece" "FROM $temporary-flat" "$@"
}

# The last build of a step is the one that gives the image its name and labels: an image of that name is complete.
finish() {
    ref=$(image "$1")
    labels="LABEL $label.key=$(key "$1")"
    shift
    printf '%s\n' "$@" "$labels" | docker build --quiet --network none --tag "$ref" - >/dev/null
    say "$ref is built: $(docker image inspect --format '{{.Size}}' "$ref" | awk '{ printf "%d MB", $1 / 1000000 }')"
}

# Puts the packages of a piece where its Dockerfile copies them from.
packages_of() {
    mkdir -p "$2"
    debs "$1" | while read -r deb; do
        ln "$CACHE/pool/$deb" "$2/" 2>/dev/null || cp "$CACHE/pool/$deb" "$2/"
    done
}

# Unpacks packages, of a release whose directories of old are links into /usr though the packages still ship both:
# unpack DIR DEB…
unpack() {
    root=$1
    shift
    for dir in bin sbin lib lib64; do
        mkdir -p "$root/usr/$dir"
        [ -e "$root/$dir" ] || ln -s "usr/$dir" "$root/$dir"
    done
    for deb; do
        dpkg-deb --fsys-tarfile "$deb" >"$work/deb.tar" || die "cannot read $deb"
        tar -x --file "$work/deb.tar" --directory "$root" --keep-directory-symlink --no-same-owner --preserve-permissions
    done
    rm "$work/deb.tar"
}
