#!/bin/bash
# Behaves like the official redis:8 entrypoint: prefixes redis-server, drops root, fixes /data, sets the umask.
set -e

if [[ $1 == -* || $1 == *.conf ]]; then
  set -- redis-server "$@"
fi

# setuid (bit 7) and setgid (bit 6) among the effective capabilities, as `docker run --cap-drop` may have taken them.
can_change_user() {
  local name value
  while read -r name value; do
    [[ $name == CapEff: ]] && (((16#$value & 0xC0) == 0xC0)) && return 0
  done </proc/self/status
  return 1
}

# Only a folder that holds nothing but Redis' own files is touched: a user's other files keep their owner.
own_data() {
  local foreign
  foreign=$(find . -mindepth 1 -maxdepth 1 ! -name '*.rdb' ! \( -type d -name appendonlydir \) -print -quit)
  if [[ -n $foreign ]]; then
    echo "Notice: $foreign in the data folder is not Redis'; owners are left alone (SKIP_FIX_PERMS=1 silences this)."
    return
  fi
  find . ! -user redis -exec chown redis:redis {} + || true
  find . ! -perm -u=rw -exec chmod u+rwX {} + || true
}

case ${1##*/} in redis-server | redis-sentinel) server=1 ;; *) server= ;; esac

if [[ $server && $EUID == 0 && -z $SKIP_DROP_PRIVS ]] && can_change_user; then
  [[ $SKIP_FIX_PERMS || $1 == *sentinel || " $* " == *" --sentinel "* ]] || own_data
  exec setpriv --reuid redis --regid redis --clear-groups --nnp \
    --inh-caps=-all --ambient-caps=-all --bounding-set=-all -- "$0" "$@"
fi

[[ $(umask) == 0022 ]] && umask 0077

# The official binary is compiled with protected mode off, Debian's with it on. The option goes in front of the
# user's own, so that theirs wins; a configuration file that names it is left alone too.
if [[ ${1##*/} == redis-server ]]; then
  case $2 in
    -v | --version | -h | --help | --test-memory | --check-system) ;;
    -* | '') set -- "$1" --protected-mode no "${@:2}" ;;
    *) grep -qsi '^ *protected-mode' "$2" || set -- "$1" "$2" --protected-mode no "${@:3}" ;;
  esac
fi

exec "$@"
