#!/bin/sh
# Make .venv, and install into it what the requirements file named lists. Where that has been done before, this
# takes no time: a copy of the file stays beside what was installed. Where it cannot be done, a sentence says why.
set -eu

requirements=$1
installed=.venv/installed-$requirements
log=.venv/pip.log
is_new_enough="import sys; sys.exit(sys.version_info < (3, 11))"
version="import sys; print('.'.join(map(str, sys.version_info[:3])))"

fail() {
    echo "$*" >&2
    exit 1
}

# Print the first Python that is new enough and can make a virtual environment.
find_python() {
    found=
    for python in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        # A name may be an empty promise, such as that of a version which is chosen but not installed.
        number=$("$python" -c "$version" 2>/dev/null) || continue
        if ! "$python" -c "$is_new_enough"; then
            found=${found:-"$python is Python $number"}
        elif ! "$python" -c "import ensurepip, venv" 2>/dev/null; then
            found="$python (Python $number) lacks the module ensurepip"
            found="$found, which the package python${number%.*}-venv has on Debian and Ubuntu"
        else
            echo "$python"
            return
        fi
    done
    fail "A Python 3.11 or newer that can make virtual environments is needed, but ${found:-"${PYTHON:-python3} does not run here"};" \
        "install it, or name another one with PYTHON=/path/to/python3."
}

make_venv() {
    python=$(find_python)
    echo "Making .venv with Python $("$python" -c "$version") ..."
    "$python" -m venv --clear .venv
}

# Of all that pip says when it fails, its last error.
explain() {
    reason=$(sed -n 's/^ERROR: //p' "$log" | tail -n 1)
    ! grep -q "Retrying (Retry" "$log" || reason="the package index did not answer"
    fail "What $requirements lists could not be installed: ${reason:-pip failed} (all of it is in $log)"
}

# Whether .venv can be used as it is: it may have lost its Python, be half made, or be of another version than asked.
is_usable() {
    .venv/bin/python -c "import pip; $is_new_enough" 2>/dev/null || return 1
    [ -z "${PYTHON:-}" ] || [ "$(.venv/bin/python -c "$version")" = "$("$PYTHON" -c "$version")" ]
}

is_usable || make_venv
if ! cmp -s "$requirements" "$installed"; then
    echo "Installing what $requirements lists; that takes a minute or less, once ..."
    .venv/bin/python -m pip install --disable-pip-version-check -r "$requirements" >"$log" 2>&1 || explain
    cp "$requirements" "$installed"
fi
