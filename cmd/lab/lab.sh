#!/usr/bin/env bash
# Real hosts for the tests of the Ansible collection: systemd as process 1 in
# systemd-nspawn, on an overlay over an image of a Debian release, each in a
# network namespace of its own on one bridge. An overlay's upper directory is
# the list of all that was written on its host.
#
#   lab.sh build SUITE...    an image of each release that has none yet
#   lab.sh up SUITE...       host K (10.77.0.1K, fd77::1K) runs the K-th; returns when all answer to ssh
#   lab.sh exec hK CMD...    run a command on a host
#   lab.sh cut|mend hK       take a host off the network, or back
#   lab.sh down              end everything; nothing stays but the images
#
# Images and the key stand in LAB_DIR (/var/tmp/agent-lab). LAB_PREFIX (agl)
# names the namespaces and control groups. With LAB_SEED, what LAB_SEED/hK holds
# lies on host K from the start: a copy of an upper directory is a snapshot.
set -euo pipefail

dir=${LAB_DIR:-/var/tmp/agent-lab}
prefix=${LAB_PREFIX:-agl}
net=10.77.0
trees="systemd unified memory pids" # of control groups, whichever are mounted
export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 LC_ALL=C

packages=systemd,systemd-sysv,dbus,openssh-server,python3,iproute2,rsync,procps,sudo,acl,nftables,python3-apt
needless="getty@tty1.service console-getty.service systemd-timesyncd.service systemd-modules-load.service
	systemd-udevd.service e2scrub_reap.service apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer
	fstrim.timer dpkg-db-backup.timer dev-hugepages.mount"

sources() { # SUITE: this machine's own sources, for another release
	local have
	have=$(. /etc/os-release && echo "$VERSION_CODENAME")
	sed "s/$have/$1/g" /etc/apt/sources.list.d/debian.sources >"$dir/$1.sources"
}

bootstrap() { # SUITE TARGET PACKAGES OPTION...
	local suite=$1 target=$2 include=$3
	shift 3
	sources "$suite"
	rm -rf "$target.new"
	mmdebstrap --quiet --mode=root --variant=minbase --aptopt='Acquire::Languages "none"' \
		--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
		--include="$include" "$@" "$suite" "$target.new" "$dir/$suite.sources"
	mv "$target.new" "$target"
}

image() { # ROOT: called back by mmdebstrap before the image is finished
	local root=$1 home unit
	chroot "$root" useradd -m -s /bin/bash deploy
	echo 'deploy ALL=(ALL) NOPASSWD:ALL' >"$root/etc/sudoers.d/deploy"
	for home in root home/deploy; do
		install -d -m700 "$root/$home/.ssh"
		install -m600 "$dir/key.pub" "$root/$home/.ssh/authorized_keys"
	done
	chroot "$root" chown -R deploy: /home/deploy/.ssh
	for unit in $needless; do ln -sf /dev/null "$root/etc/systemd/system/$unit"; done
	ln -sf /lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"
	rm -f "$root/etc/hostname"
	: >"$root/etc/machine-id"
}

build() {
	mkdir -p "$dir"
	[ -f "$dir/key" ] || ssh-keygen -q -t ed25519 -N '' -f "$dir/key"
	local suite
	for suite in "$@"; do
		[ -d "$dir/root-$suite" ] ||
			bootstrap "$suite" "$dir/root-$suite" "$packages" --customize-hook="LAB_DIR=$dir $0 image \"\$1\""
	done
}

controller() { # SUITE: a root with that release's ansible-core and ansible-lint
	mkdir -p "$dir"
	[ -d "$dir/ctl-$1" ] || bootstrap "$1" "$dir/ctl-$1" ansible-core,ansible-lint,yamllint,openssh-client,iproute2
}

port() { # NAME ADDRESS: a namespace with one interface on the bridge
	ip netns add "$1"
	ip link add eth0 netns "$1" type veth peer name "v-$1" netns "$prefix-sw"
	ip -n "$prefix-sw" link set "v-$1" master br0 up
	ip -n "$1" link set lo up
	ip -n "$1" addr add "$2/24" dev eth0
	ip -n "$1" addr add "fd77::${2##*.}/64" dev eth0 nodad
	ip -n "$1" link set eth0 up
}

boot() { # HOST SUITE: in the background, until it powers off
	local host=$1 name=$prefix-$1 at=$dir/$prefix/$1 tree
	mkdir -p "$at"/{upper/etc,work,root}
	[ ! -d "${LAB_SEED:-/nonexistent}/$host" ] || cp -a "$LAB_SEED/$host/." "$at/upper/"
	echo "$host" >"$at/upper/etc/hostname"
	printf '127.0.0.1 localhost\n127.0.1.1 %s\n' "$host" >"$at/upper/etc/hosts"
	mount -t overlay overlay -o "lowerdir=$dir/root-$2,upperdir=$at/upper,workdir=$at/work" "$at/root"
	for tree in $trees; do [ ! -d "/sys/fs/cgroup/$tree" ] || mkdir -p "/sys/fs/cgroup/$tree/$name"; done
	# A control group of its own for each, since --keep-unit makes none; 133 is a reboot.
	sh -c 'name=$1 trees=$2; shift 2
		for tree in $trees; do [ ! -d /sys/fs/cgroup/$tree/$name ] || echo $$ >/sys/fs/cgroup/$tree/$name/cgroup.procs; done
		while :; do "$@"; [ $? = 133 ] || exit; done' sh "$name" "$trees" \
		systemd-nspawn --quiet --boot --directory="$at/root" --machine="$name" --hostname="$host" --register=no \
		--keep-unit --link-journal=no --resolv-conf=off --timezone=off --console=read-only \
		--capability=CAP_NET_ADMIN --network-namespace-path="/run/netns/$name" </dev/null >"$at/console.log" 2>&1 &
	echo $! >"$at/pid"
}

answers() { # ADDRESS: an ssh server greets
	ip netns exec "$prefix-ctl" bash -c "exec 3<>/dev/tcp/$1/22; head -c4 <&3" 2>/dev/null | grep -q SSH
}

up() {
	ip netns add "$prefix-sw"
	ip -n "$prefix-sw" link add br0 type bridge
	ip -n "$prefix-sw" link set br0 up
	port "$prefix-ctl" "$net.1"
	local i=0 suite try
	for suite in "$@"; do
		i=$((i + 1))
		port "$prefix-h$i" "$net.$((10 + i))"
		boot "h$i" "$suite"
	done
	for i in $(seq $#); do
		for try in $(seq 3000); do
			answers "$net.$((10 + i))" && continue 2
			sleep 0.1
		done
		echo "h$i does not answer:" >&2
		tail "$dir/$prefix/h$i/console.log" >&2
		! grep -q 'inotify.*Too many open files' "$dir/$prefix/h$i/console.log" ||
			echo "each host takes six of this machine's fs.inotify.max_user_instances: raise it" >&2
		exit 1
	done
}

pid1() { # HOST: its systemd, as this machine numbers it
	pgrep -P "$(pgrep -P "$(cat "$dir/$prefix/$1/pid")" -f '^systemd-nspawn')"
}

down() {
	local at ns try tree
	for at in "$dir/$prefix"/h*; do
		[ -f "$at/pid" ] || continue
		kill -KILL $(pid1 "${at##*/}") 2>/dev/null || true
	done
	for at in "$dir/$prefix"/h*; do
		[ -d "$at" ] || continue
		for try in $(seq 100); do
			kill -0 "$(cat "$at/pid")" 2>/dev/null || break
			sleep 0.1
		done
		! mountpoint -q "$at/root" || umount "$at/root"
		rm -rf "$at"
	done
	for ns in $(ip netns list | awk '{print $1}' | grep "^$prefix-"); do ip netns del "$ns"; done
	for tree in $trees; do
		find /sys/fs/cgroup/$tree/"$prefix"-h* -depth -type d -exec rmdir {} + 2>/dev/null || true
	done
	rm -rf "${dir:?}/$prefix"
}

case ${1:-} in
build | controller | image | up | down) "$@" ;;
exec)
	host=$2
	shift 2
	nsenter -t "$(pid1 "$host")" -a "$@"
	;;
cut) ip -n "$prefix-sw" link set "v-$prefix-$2" down ;;
mend) ip -n "$prefix-sw" link set "v-$prefix-$2" up ;;
*) sed -n '2,/^set /s/^# \{0,1\}//p' "$0" | sed '$d' >&2 && exit 2 ;;
esac
