#   bash plan.sh          show what apply would do
#   sudo bash plan.sh apply
#   sudo bash plan.sh undo
#
# Running apply twice changes nothing more; undo takes back what apply did. RT_USER=<name> joins the group realtime
# (default: who called sudo). ROOT=<folder> prepares the files of another system there and touches nothing that runs.
set -euo pipefail

ROOT=${ROOT:-}
RT_USER=${RT_USER:-${SUDO_USER:-}}
STATE=$ROOT/var/lib/dora-realtime
DRY=

say() { printf '%s\n' "$*"; }

note() { say "by hand: $*"; }

check_root() {
  if [ -z "$DRY" ] && [ -z "$ROOT" ] && [ "$(id -u)" -ne 0 ]; then
    say "this needs root: sudo bash $0 $1" >&2
    exit 1
  fi
}

# Runs a command on the running system only, and only if it is there.
live() {
  if [ -n "$ROOT" ] || ! command -v "$1" >/dev/null 2>&1; then return 0; fi
  if [ -n "$DRY" ]; then say "run: $*"; return 0; fi
  "$@" || say "warning: failed: $*" >&2
}

# Makes a file of our own from standard input, unless it is so already.
put() {
  local file=$ROOT$1 text
  text=$(cat)
  if [ -f "$file" ] && [ "$(cat "$file")" = "$text" ]; then return 0; fi
  say "file: $1"
  if [ -n "$DRY" ]; then printf '%s\n' "$text" | sed 's/^/    /'; return 0; fi
  mkdir -p "$(dirname "$file")"
  printf '%s\n' "$text" >"$file"
}

drop() {
  if [ ! -e "$ROOT$1" ]; then return 0; fi
  say "remove: $1"
  rm -f "$ROOT$1"
}

saved() { printf '%s' "$STATE/old$(printf '%s' "$1" | tr / _)"; }

# The value of a file of the kernel, with the chosen one of `a [b] c` alone.
value_of() {
  local text
  text=$(cat "$ROOT$1" 2>/dev/null) || return 1
  case $text in
    *\[*\]*) text=${text#*\[}; text=${text%%\]*} ;;
  esac
  printf '%s' "$text"
}

# Keeps the value that a file of the kernel has now, the first time.
save() {
  local file old
  file=$(saved "$1")
  if [ -n "$DRY" ] || [ -e "$file" ] || ! old=$(value_of "$1"); then return 0; fi
  mkdir -p "$STATE"
  printf '%s\n' "$old" >"$file"
}

# Writes a file of the kernel; some refuse (interrupts that a driver manages), which is said and no error.
write() {
  local old
  if [ ! -e "$ROOT$1" ]; then say "not here: $1"; return 0; fi
  old=$(value_of "$1") || old=
  if [ "$old" = "$2" ]; then return 0; fi
  say "write: $2 to $1 (was $old)"
  if [ -n "$DRY" ]; then return 0; fi
  save "$1"
  if ! { printf '%s\n' "$2" >"$ROOT$1"; } 2>/dev/null; then
    say "warning: $1 cannot be set" >&2
    rm -f "$(saved "$1")"
  fi
}

restore() {
  local file old
  file=$(saved "$1")
  if [ ! -e "$file" ]; then return 0; fi
  old=$(cat "$file")
  if [ -e "$ROOT$1" ]; then
    say "write: $old to $1"
    { printf '%s\n' "$old" >"$ROOT$1"; } 2>/dev/null || say "warning: $1 cannot be set" >&2
  fi
  rm -f "$file"
}

add_group() {
  if [ -n "$ROOT" ]; then note "groupadd --system realtime in the other system, and add its user"; return 0; fi
  if ! getent group realtime >/dev/null; then
    say "group: realtime"
    if [ -z "$DRY" ]; then
      groupadd --system realtime
      mkdir -p "$STATE"
      : >"$STATE/group"
    fi
  fi
  if [ -z "$RT_USER" ] || [ "$RT_USER" = root ]; then
    note "sudo usermod -aG realtime <user>"
  elif ! id -nG "$RT_USER" | tr ' ' '\n' | grep -qx realtime; then
    say "group: $RT_USER joins realtime"
    if [ -z "$DRY" ]; then
      usermod -aG realtime "$RT_USER"
      mkdir -p "$STATE"
      printf '%s\n' "$RT_USER" >>"$STATE/members"
    fi
  fi
}

remove_group() {
  local user
  if [ -n "$ROOT" ]; then return 0; fi
  if [ -e "$STATE/members" ]; then
    while read -r user; do gpasswd -d "$user" realtime || true; done <"$STATE/members"
    rm -f "$STATE/members"
  fi
  if [ -e "$STATE/group" ]; then
    groupdel realtime || true
    rm -f "$STATE/group"
  fi
}

stop_service() {
  if [ -n "$ROOT" ]; then note "systemctl disable $1 in the other system"; return 0; fi
  if ! systemctl is-enabled --quiet "$1" 2>/dev/null && ! systemctl is-active --quiet "$1" 2>/dev/null; then return 0; fi
  say "service: stop $1 and start it no more"
  if [ -n "$DRY" ]; then return 0; fi
  systemctl disable --now "$1"
  mkdir -p "$STATE"
  : >"$STATE/service_$1"
}

start_service() {
  if [ ! -e "$STATE/service_$1" ]; then return 0; fi
  live systemctl enable --now "$1"
  rm -f "$STATE/service_$1"
}

# Where the kernel's command line is kept: GRUB with a folder for additions, grubby, or the file of a Raspberry Pi.
boot_loader() {
  if [ -e "$ROOT/etc/default/grub" ] && [ -d "$ROOT/etc/default/grub.d" ]; then say grub
  elif [ -z "$ROOT" ] && command -v grubby >/dev/null 2>&1; then say grubby
  elif [ -e "$ROOT/boot/firmware/cmdline.txt" ]; then say /boot/firmware/cmdline.txt
  elif [ -e "$ROOT/boot/cmdline.txt" ]; then say /boot/cmdline.txt
  else say none
  fi
}

# The words of a file that has one line of them, without those that are given.
without() {
  local word words=() out=
  read -r -a words <"$ROOT$1" || true
  for word in "${words[@]}"; do
    case " $2 " in *" $word "*) ;; *) out="$out $word" ;; esac
  done
  printf '%s' "${out# }"
}

add_arguments() {
  local loader line
  loader=$(boot_loader)
  case $loader in
    grub)
      # GRUB replaces the variable when it reads the file, not this script.
      put /etc/default/grub.d/90-dora-realtime.cfg <<END_OF_FILE
GRUB_CMDLINE_LINUX="\$GRUB_CMDLINE_LINUX $1"
END_OF_FILE
      live update-grub
      ;;
    grubby) live grubby --update-kernel=ALL --args="$1" ;;
    none) note "add to the kernel's command line: $1" ;;
    *)
      line=$(without "$loader" "$1")
      if [ "$(cat "$ROOT$loader")" = "$line $1" ]; then return 0; fi
      say "kernel: $1 in $loader"
      if [ -n "$DRY" ]; then return 0; fi
      mkdir -p "$STATE"
      if [ ! -e "$STATE/cmdline.txt" ]; then cp "$ROOT$loader" "$STATE/cmdline.txt"; fi
      printf '%s\n' "$line $1" >"$ROOT$loader"
      ;;
  esac
}

remove_arguments() {
  local loader line
  loader=$(boot_loader)
  case $loader in
    grub)
      if [ ! -e "$ROOT/etc/default/grub.d/90-dora-realtime.cfg" ]; then return 0; fi
      drop /etc/default/grub.d/90-dora-realtime.cfg
      live update-grub
      ;;
    grubby) live grubby --update-kernel=ALL --remove-args="$1" ;;
    none) note "remove from the kernel's command line: $1" ;;
    *)
      if [ ! -e "$STATE/cmdline.txt" ]; then return 0; fi
      say "kernel: without $1 in $loader"
      line=$(without "$loader" "$1")
      printf '%s\n' "$line" >"$ROOT$loader"
      rm -f "$STATE/cmdline.txt"
      ;;
  esac
}
