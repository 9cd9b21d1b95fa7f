#!/usr/bin/env bash
# The contract of the Kafka module on the real broker: what the simulated one keeps too, and transactions, fencing,
# groups, outages.
set -euo pipefail
cd "$(dirname "$0")/../.."
export FRESHET_TEST_BOOTSTRAP=$FRESHET_BOOTSTRAP FRESHET_TEST_BROKER_SCRIPT=$PWD/scripts/kafka
"$(dirname "$FRESHET_BINARY")/test_kafka_stream"
exec "$(dirname "$FRESHET_BINARY")/test_kafka_cluster"
