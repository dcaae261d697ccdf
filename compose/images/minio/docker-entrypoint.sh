#!/bin/sh
# Behaves like the published image's entrypoint: anything that is not `minio` is an argument of it; the server is PID 1.
if [ "$1" != minio ] && [ -n "$1" ]; then
  set -- minio "$@"
fi
# MINIO_USERNAME and MINIO_GROUPNAME: run as somebody else than root (the official entrypoint accepts numbers only with both).
if [ -n "$MINIO_USERNAME" ] && [ -n "$MINIO_GROUPNAME" ]; then
  exec setpriv --reuid "${MINIO_UID:-$MINIO_USERNAME}" --regid "${MINIO_GID:-$MINIO_GROUPNAME}" --clear-groups -- "$@"
fi
exec "$@"
