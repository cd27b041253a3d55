#!/usr/bin/env bash
# Hosts in network namespaces, all on one bridge in a namespace of its own. Needs root and Debian's iproute2.
#   network.sh start PREFIX HOST ...     host number N has the address 10.77.0.N
#   network.sh slow  PREFIX HOST RATE    such as 20mbit, in both directions
#   network.sh cut   PREFIX HOST         and:  network.sh mend PREFIX HOST
#   network.sh stop  PREFIX HOST ...
set -euo pipefail
action=$1
prefix=$2
shift 2

start() {
    ip netns add "$prefix-hub"
    ip -n "$prefix-hub" link add bridge type bridge
    ip -n "$prefix-hub" link set bridge up
    local number=0
    for host in "$@"; do
        number=$((number + 1))
        ip netns add "$prefix-$host"
        ip link add outside netns "$prefix-$host" type veth peer name "$host" netns "$prefix-hub"
        ip -n "$prefix-hub" link set "$host" master bridge up
        ip -n "$prefix-$host" address add "10.77.0.$number/24" dev outside
        ip -n "$prefix-$host" link set outside up
        ip -n "$prefix-$host" link set lo up
    done
}

slow() {
    ip netns exec "$prefix-hub" tc qdisc replace dev "$1" root tbf rate "$2" burst 64kbit latency 500ms
    ip netns exec "$prefix-$1" tc qdisc replace dev outside root tbf rate "$2" burst 64kbit latency 500ms
}

cut() { ip -n "$prefix-hub" link set "$1" down; }

mend() { ip -n "$prefix-hub" link set "$1" up; }

stop() {
    for host in "$@" hub; do
        ip netns delete "$prefix-$host" 2>/dev/null || true
    done
}

"$action" "$@"
