#!/usr/bin/env bash
# Behaves like the official postgres:17 entrypoint: same variables, same order, same function names for scripts that
# source it. One thing is faster: a cluster with default options is a copy of the one made with the image.
set -Eeo pipefail

TEMPLATE=/var/lib/postgresql/template

# file_env VAR [DEFAULT]: $VAR, else the content of the file $VAR_FILE, else DEFAULT; both at once is an error.
file_env() {
  local name=$1 file_name="$1_FILE" value=${2:-}
  if [[ ${!name:-} && ${!file_name:-} ]]; then
    echo >&2 "error: both $name and $file_name are set (but are exclusive)"
    exit 1
  fi
  if [[ ${!name:-} ]]; then
    value=${!name}
  elif [[ ${!file_name:-} ]]; then
    value=$(<"${!file_name}")
  fi
  export "$name=$value"
  unset "$file_name"
}

docker_setup_env() {
  file_env POSTGRES_PASSWORD
  file_env POSTGRES_USER postgres
  file_env POSTGRES_DB "$POSTGRES_USER"
  file_env POSTGRES_INITDB_ARGS
  DATABASE_ALREADY_EXISTS=
  [[ ! -s $PGDATA/PG_VERSION ]] || DATABASE_ALREADY_EXISTS=true
}

# Folders, and their owner when started as root. Failures to change modes are left to postgres to complain about.
docker_create_db_directories() {
  mkdir -p "$PGDATA" /var/run/postgresql ${POSTGRES_INITDB_WALDIR:+"$POSTGRES_INITDB_WALDIR"}
  chmod 0700 "$PGDATA" ${POSTGRES_INITDB_WALDIR:+"$POSTGRES_INITDB_WALDIR"} || :
  chmod 3775 /var/run/postgresql || :
  [[ $EUID != 0 ]] || find "$PGDATA" /var/run/postgresql ${POSTGRES_INITDB_WALDIR:+"$POSTGRES_INITDB_WALDIR"} \
    ! -user postgres -exec chown postgres {} +
}

docker_verify_minimum_env() {
  if [[ -z $POSTGRES_PASSWORD && ${POSTGRES_HOST_AUTH_METHOD:-} != trust ]]; then
    echo >&2 'Error: Database is uninitialized and superuser password is not specified.'
    echo >&2 'Set POSTGRES_PASSWORD (or POSTGRES_PASSWORD_FILE), or POSTGRES_HOST_AUTH_METHOD=trust to need none.'
    exit 1
  fi
  [[ ${POSTGRES_HOST_AUTH_METHOD:-} != trust ]] ||
    echo >&2 'WARNING: POSTGRES_HOST_AUTH_METHOD=trust lets anyone who reaches the port in without a password.'
}

# The template fits when nothing that initdb would look at differs from the image's defaults.
_template_fits() {
  [[ -z $POSTGRES_INITDB_ARGS$POSTGRES_INITDB_WALDIR$TZ$LC_ALL$LC_COLLATE$LC_CTYPE$LC_MESSAGES$LC_MONETARY$LC_NUMERIC$LC_TIME &&
    $LANG == en_US.utf8 && -r $TEMPLATE/PG_VERSION && -z $(ls -A "$PGDATA") ]]
}

_sql_text() { # a value as an SQL string literal that fits on one line of single-user mode
  local v=${1//\\/\\\\}
  v=${v//\'/\\\'}
  printf "E'%s'" "${v//$'\n'/\\n}"
}

_copy_template() {
  cp -a --reflink=auto "$TEMPLATE/." "$PGDATA/"
  # Single-user mode takes its SQL from a pipe: no password in arguments, nor in the log when a statement fails.
  # The role is renamed in the catalog because the session's own user cannot be renamed by ALTER ROLE.
  {
    printf 'UPDATE pg_authid SET rolname = %s WHERE oid = 10;\n' "$(_sql_text "$POSTGRES_USER")"
    [[ -z $POSTGRES_PASSWORD ]] ||
      printf 'ALTER ROLE "%s" PASSWORD %s;\n' "${POSTGRES_USER//\"/\"\"}" "$(_sql_text "$POSTGRES_PASSWORD")"
    [[ $POSTGRES_DB =~ ^(postgres|template0|template1)$ ]] || printf 'CREATE DATABASE "%s";\n' "${POSTGRES_DB//\"/\"\"}"
  } | postgres --single -D "$PGDATA" -c exit_on_error=on -c log_min_error_statement=panic \
    -c log_checkpoints=off -c client_min_messages=error template1 >/dev/null
}

_fake_passwd_entry() { # initdb insists on an account for its uid; `docker run --user` may have none
  getent passwd "$EUID" >/dev/null && return
  NSS_WRAPPER_PASSWD=$(mktemp) NSS_WRAPPER_GROUP=$(mktemp)
  export LD_PRELOAD=libnss_wrapper.so NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP
  echo "postgres:x:$EUID:$(id -g):PostgreSQL:$PGDATA:/bin/false" >"$NSS_WRAPPER_PASSWD"
  echo "postgres:x:$(id -g):" >"$NSS_WRAPPER_GROUP"
}

docker_init_database_dir() {
  if _template_fits; then
    _copy_template
    return
  fi
  _fake_passwd_entry
  # A process substitution hands the password over; eval splits POSTGRES_INITDB_ARGS as a shell would.
  eval 'initdb --username="$POSTGRES_USER" --pwfile=<(printf "%s\n" "$POSTGRES_PASSWORD") \
    ${POSTGRES_INITDB_WALDIR:+--waldir "$POSTGRES_INITDB_WALDIR"} '"$POSTGRES_INITDB_ARGS"' "$@"'
  [[ -z ${NSS_WRAPPER_PASSWD:-} ]] || rm -f "$NSS_WRAPPER_PASSWD" "$NSS_WRAPPER_GROUP"
  unset LD_PRELOAD NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP
}

pg_setup_hba_conf() { # arguments: the server's, because they may set password_encryption
  [[ ${1:-} != postgres ]] || shift
  local method=${POSTGRES_HOST_AUTH_METHOD:-}
  [[ $method || $* == *password_encryption* || $* == *config_file* ]] || method=scram-sha-256
  printf '\nhost all all all %s\n' "${method:-$(postgres -C password_encryption "$@")}" >>"$PGDATA/pg_hba.conf"
}

docker_temp_server_start() { # local socket only: nobody from outside can take it for the real one
  [[ ${1:-} != postgres ]] || shift
  NOTIFY_SOCKET='' PGUSER="${PGUSER:-$POSTGRES_USER}" pg_ctl -D "$PGDATA" -w start \
    -o "$(printf '%q ' "$@" -c listen_addresses= -p "${PGPORT:-5432}")"
}

docker_temp_server_stop() { PGUSER="${PGUSER:-postgres}" pg_ctl -D "$PGDATA" -m fast -w stop; }

docker_process_sql() {
  PGHOST='' PGHOSTADDR='' psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --no-password --no-psqlrc \
    ${POSTGRES_DB:+--dbname "$POSTGRES_DB"} "$@"
}

docker_setup_db() {
  local known
  known=$(POSTGRES_DB='' docker_process_sql --dbname postgres --set db="$POSTGRES_DB" -At \
    <<<"SELECT 1 FROM pg_database WHERE datname = :'db';")
  [[ $known ]] || POSTGRES_DB='' docker_process_sql --dbname postgres --set db="$POSTGRES_DB" <<<'CREATE DATABASE :"db";'
}

docker_process_init_files() {
  psql=(docker_process_sql) # sourced scripts use "${psql[@]}"
  local f
  for f; do
    case $f in
      *.sh) if [[ -x $f ]]; then echo "$0: running $f"; "$f"; else echo "$0: sourcing $f"; . "$f"; fi ;;
      *.sql) echo "$0: running $f"; docker_process_sql -f "$f" ;;
      *.sql.gz) echo "$0: running $f"; gunzip -c "$f" | docker_process_sql ;;
      *.sql.xz) echo "$0: running $f"; xzcat "$f" | docker_process_sql ;;
      *.sql.zst) echo "$0: running $f"; zstd -dc "$f" | docker_process_sql ;;
      *) echo "$0: ignoring $f" ;;
    esac
  done
}

docker_initialize() { # arguments: the server's
  docker_verify_minimum_env
  ls /docker-entrypoint-initdb.d/ >/dev/null # unreadable: fail before anything is half made
  local from_template=
  ! _template_fits || from_template=1
  docker_init_database_dir
  pg_setup_hba_conf "$@"
  # The template's database was made without a server: one is needed only to run scripts.
  if [[ -z $from_template || -n $(ls -A /docker-entrypoint-initdb.d/) ]]; then
    export PGPASSWORD="${PGPASSWORD:-$POSTGRES_PASSWORD}"
    docker_temp_server_start "$@"
    docker_setup_db
    docker_process_init_files /docker-entrypoint-initdb.d/*
    docker_temp_server_stop
    unset PGPASSWORD
  fi
  printf '\nPostgreSQL init process complete; ready for start up.\n\n'
}

_main() {
  [[ ${1:-} != -* ]] || set -- postgres "$@"
  local help=' -? --help --describe-config -V --version '
  local arg wants_help=
  for arg; do [[ $help != *" $arg "* ]] || wants_help=1; done
  if [[ ${1:-} == postgres && -z $wants_help ]]; then
    docker_setup_env
    docker_create_db_directories
    [[ $EUID != 0 ]] || exec gosu postgres "$BASH_SOURCE" "$@"
    if [[ $DATABASE_ALREADY_EXISTS ]]; then
      printf '\nPostgreSQL Database directory appears to contain a database; Skipping initialization\n\n'
    else
      docker_initialize "$@"
    fi
  fi
  exec "$@"
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then _main "$@"; fi
