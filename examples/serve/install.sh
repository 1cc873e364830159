#!/bin/sh
# Installs regraft as far as a server of a RUN needs it, without torch, into a fresh environment:
#   sh examples/serve/install.sh FOLDER [PYTHON]
# The Dockerfile beside it does the same. Versions and hashes are those of requirements/serve.txt.
set -eu
folder=${1:?"Name the folder of the new environment: sh $0 FOLDER [PYTHON]"}
home=$(cd "$(dirname "$0")/../.." && pwd)

"${2:-python3}" -m venv --clear "$folder"
install() { "$folder/bin/python" -m pip install --quiet --no-cache-dir --no-deps "$@"; }
install --only-binary :all: --require-hashes -r "$home/requirements/serve.txt"
install --no-build-isolation "$home"
"$folder/bin/regraft" --version
