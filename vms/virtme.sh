# What a guest of vms/virtme.py runs when it has booted, with the host's files as its root:
#     sh virtme.sh PYTHON MODULE [NAME=DIRECTORY ...] -- [PATH ...]
# copies each DIRECTORY, gives the guest a /tmp of its own, in which only the PATHs of the host's are
# seen, and starts the agent, which goes to the background. virtme-ng ends the guest when this ends.
set -e
python=$1 module=$2
shift 2
mkdir -p /run/matrix/kept /dev/virtio-ports
# Without udev ports have no names.
for port in /sys/class/virtio-ports/*; do
	[ "$(cat "$port/name")" != agent ] || ln -sf "../${port##*/}" /dev/virtio-ports/agent
done
cd /run/matrix
# What is copied may be in the host's /tmp.
while [ "$1" != -- ]; do
	cp -r "${1#*=}" "${1%%=*}"
	shift
done
shift

number=0
for path; do
	number=$((number + 1))
	mkdir "kept/$number"
	mount --bind "$path" "kept/$number"
done
mount -t tmpfs -o mode=1777 tmpfs /tmp
number=0
for path; do
	number=$((number + 1))
	mkdir -p "$path"
	mount --bind "kept/$number" "$path"
	umount "kept/$number"
done
"$python" -m "$module"
exec sleep inf
