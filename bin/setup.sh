# Sourced by bin/serve and bin/test: the virtual environment with the pinned set, made again only when the pins change.
# Usage: prepare_venv requirements.txt
prepare_venv() {
    local pins="$1" stamp
    stamp="$(cat "$pins" | sha256sum 2>/dev/null || shasum -a 256 "$pins")"
    stamp="${stamp%% *}"
    if [ ! -f ".venv/made-from-$stamp" ]; then
        local python
        python="$(find_python)"
        # pip comes last: without it an earlier try was cut short, or Debian's python3-venv was missing.
        [ -x .venv/bin/pip ] || "$python" -m venv .venv
        .venv/bin/python -m pip install -qq --disable-pip-version-check --require-hashes -r "$pins"
        touch ".venv/made-from-$stamp"
    fi
}

find_python() {
    local name
    for name in python3.13 python3.12 python3.11 python3; do
        if command -v "$name" >/dev/null && "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$name"
            return
        fi
    done
    echo "Python 3.11 or newer is needed and was not found." >&2
    exit 1
}
