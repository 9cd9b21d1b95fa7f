#!/usr/bin/env bash
# The contract of the Kafka module on the real broker: transactions, fencing, groups, outages.
set -euo pipefail
cd "$(dirname "$0")/../.."
export FRESHET_TEST_BOOTSTRAP=$FRESHET_BOOTSTRAP FRESHET_TEST_BROKER_SCRIPT=$PWD/scripts/kafka
exec "$(dirname "$FRESHET_BINARY")/test_kafka_cluster"
