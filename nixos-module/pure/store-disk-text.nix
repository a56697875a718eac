# Takes the path of a disk and its format, gives shell text that adds `image_type=` to that disk among "$@", and to no other.
# microvm.nix passes its store disk without one, which cloud-hypervisor from 54 on does not boot.
{ path, imageType }:
let
  quote = text: "'${builtins.replaceStrings [ "'" ] [ "'\\''" ] text}'";
in
''
  disk=path=${quote path}
  for word do
    shift
    case ,$word, in
      *,image_type=*) ;;
      *,"$disk",*) word=$word,image_type=${quote imageType} ;;
    esac
    set -- "$@" "$word"
  done
''
