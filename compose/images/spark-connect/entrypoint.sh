#!/bin/bash
# Behaves like the official Spark image: `driver` goes through spark-submit under tini, anything else runs as it is.
set -eo pipefail
if [[ $1 == driver ]]; then
  shift
  set -- /usr/bin/tini -s -- "$SPARK_HOME/bin/spark-submit" --deploy-mode client \
    ${SPARK_DRIVER_BIND_ADDRESS:+--conf "spark.driver.bindAddress=$SPARK_DRIVER_BIND_ADDRESS"} "$@"
  [[ $EUID != 0 ]] || set -- gosu spark "$@"
fi
exec "$@"
