#!/usr/bin/env bash
# Initialises the data folder and ends without a server: "ensure" accepts an existing database, "enforce" refuses it.
set -Eeo pipefail
source /usr/local/bin/docker-entrypoint.sh
[[ ${1:-} == postgres ]] || set -- postgres "$@"

docker_setup_env
docker_create_db_directories
[[ $EUID != 0 ]] || exec gosu postgres "$BASH_SOURCE" "$@"

if [[ -z $DATABASE_ALREADY_EXISTS ]]; then
  docker_initialize "$@"
elif [[ ${0##*/} == docker-enforce-initdb.sh ]]; then
  echo >&2 "${0##*/}: error: (unexpected) database found in '$PGDATA'!"
  exit 1
else
  echo >&2 "${0##*/}: note: database already initialized in '$PGDATA'!"
fi
