
case ${1:-} in
  apply)
    apply
    notes
    ;;
  undo)
    undo
    if [ -d "$STATE" ]; then rmdir "$STATE" 2>/dev/null || true; fi
    ;;
  '')
    DRY=1
    say "This is what apply would do; nothing has been changed."
    apply
    notes
    ;;
  *)
    say "usage: $0 [apply|undo]" >&2
    exit 2
    ;;
esac
