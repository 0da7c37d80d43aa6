# Sourced by the scripts beside it, from the root of the repository: the virtual environment `.venv` and what is in it.
# PYTHON chooses the interpreter that makes it (default `python3`).

# Progress is for people: nothing of it reaches a pipe.
say() {
    if [ -t 2 ]; then printf '%s\n' "$*" >&2; fi
}

# fail MESSAGE [HINT]
fail() {
    printf 'error: %s\n' "$1" >&2
    if [ $# -gt 1 ]; then printf '  hint: %s\n' "$2" >&2; fi
    exit 1
}

# quietly LOG COMMAND...: runs the command; only when it fails, the end of what it printed is shown.
quietly() {
    local log=$1
    shift
    "$@" >"$log" 2>&1 </dev/null && return
    grep -v ' is ignored: it is neither a file nor a directory' "$log" | tail -n 20 >&2
    return 1
}

check_python() {
    command -v "$1" >/dev/null ||
        fail "\`$1\` is not on the PATH" "install Python 3.10 or newer, or name one: PYTHON=/path/to/python $0"
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
        fail "Python 3.10 or newer is needed, \`$1\` is $("$1" --version 2>&1)" "name another one: PYTHON=/path/to/python $0"
}

# An environment that was copied or moved here still runs the programs of the place it comes from.
venv_is_usable() {
    .venv/bin/python -c 'import pip, sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || return 1
    grep -qF "$PWD/.venv" .venv/bin/activate || return 1
    [ -z "${PYTHON-}" ] || [ "$("$PYTHON" -c "$minor_version")" = "$(.venv/bin/python -c "$minor_version")" ]
}
minor_version='import sys; print(sys.version_info[:2])'

# ensure_venv LOG
ensure_venv() {
    local python=${PYTHON:-python3}
    if [ -n "${PYTHON-}" ]; then check_python "$python"; fi
    if venv_is_usable; then return; fi
    check_python "$python"
    say "Making .venv with $("$python" --version 2>&1)"
    quietly "$1" "$python" -m venv --clear "$PWD/.venv" ||
        fail "\`$python -m venv\` could not make .venv" "Debian and Ubuntu have it in the package python3-venv"
}

# What an installation depends on: reinstalled when it differs from what the last one left beside it.
installation() {
    cat pyproject.toml
    grep '^__version__' inference_server/__init__.py
}

# is_installed EXTRA
is_installed() {
    installation | cmp -s - ".venv/azml-$1.stamp"
}

# ensure_installed LOG EXTRA: the project itself, editable, with what the extra names
ensure_installed() {
    if is_installed "$2"; then return; fi
    say "Installing the project with what \`$2\` needs (a minute or two the first time)"
    quietly "$1" .venv/bin/python -m pip install --disable-pip-version-check --no-input --editable ".[$2]" ||
        fail "the installation failed, see above" "it needs the package registry: check the network and pip's settings"
    installation >".venv/azml-$2.stamp"
}
