#!/usr/bin/env bash
# Makes the virtual environment with maskdex in it, and what it needs from the system.
# Usage: scripts/setup.sh VENV   (run from the checkout; safe to run again)
set -euo pipefail

venv=${1:?usage: scripts/setup.sh VENV}
cd "$(dirname "$0")/.."

# Shared library → Debian package. open3d needs the first four, mujoco and rendering the EGL one.
declare -A packages=(
    [libusb-1.0.so.0]=libusb-1.0-0
    [libGL.so.1]=libgl1
    [libEGL.so.1]=libegl1
    [libgomp.so.1]=libgomp1
)

say() { printf '%s\n' "setup: $*" >&2; }
fail() { say "$*"; exit 1; }

have_library() {
    # The linker's cache is the quick answer; a look into the usual folders serves systems without one.
    { ldconfig -p 2>/dev/null || /sbin/ldconfig -p 2>/dev/null || true; } | grep -qF "$1" ||
        compgen -G "/usr/lib/*/$1*" >/dev/null || compgen -G "/usr/lib64/$1*" >/dev/null
}

as_root() {
    [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null
}

updated=no
install_packages() {
    if ! as_root; then
        command -v apt-get >/dev/null || fail "missing from the system: $* (Debian names); install them and run again"
        fail "missing from the system; type this and run again:  sudo apt-get install -y $*"
    fi
    if [ "$updated" = no ]; then
        apt-get update -qq || say "apt-get update failed; trying with the lists that are there"
        updated=yes
    fi
    say "installing $*"
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

system_libraries() {
    local library missing=()
    for library in "${!packages[@]}"; do
        have_library "$library" || missing+=("${packages[$library]}")
    done
    [ ${#missing[@]} -eq 0 ] || install_packages "${missing[@]}"
}

version_of() {
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true
}

find_python() {
    # The ROS 2 wheels exist for 3.11 and 3.12; any Python from 3.10 on runs everything but the node.
    local wanted candidate
    for wanted in "3.11 3.12" "3.10 3.13 3.14"; do
        for candidate in ${PYTHON_FOR_VENV:-} python3 python3.12 python3.11 python3.10 python3.13; do
            case " $wanted " in *" $(version_of "$candidate") "*) echo "$candidate"; return ;; esac
        done
    done
}

make_venv() {
    local python
    if [ -x "$venv/bin/python" ] && "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
        return
    fi
    python=$(find_python)
    [ -n "$python" ] || fail "Python 3.10 or newer is needed (3.11 or 3.12 for the ROS 2 node); found: $(python3 --version 2>&1)"
    say "making $venv with $($python --version)"
    if ! "$python" -m venv --clear "$venv" >/dev/null 2>&1; then
        # Debian splits venv off; its package is named after the version.
        install_packages "python$(version_of "$python")-venv"
        "$python" -m venv --clear "$venv"
    fi
}

extras() {
    case "$(version_of "$venv/bin/python")" in
        3.11 | 3.12) echo "ros,sim,test" ;;
        *) echo "sim,test" ;;
    esac
}

system_libraries
make_venv
wanted=$(extras)
case "$wanted" in
    ros,*) ;;
    *) say "Python $(version_of "$venv/bin/python") has no ROS 2 wheels: make demo needs 3.11 or 3.12, or a sourced ROS 2" ;;
esac
say "installing maskdex with its dependencies (torch is large: minutes the first time)"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check -e ".[$wanted]"
# The wheels have no tf2_msgs; with a C++ compiler it is made here, without one tf is not heard.
case "$wanted" in ros,*) "$venv/bin/python" -m maskdex_ros.build_tf2_msgs ;; esac
"$venv/bin/maskdex" --version >&2
