# Takes the text of a systemd unit file, gives { Section.Key = [ "value" … ]; } with the values in the order of the file.
# Comments go, continued lines are joined. Refuses a line that is no section, setting or comment, by quoting it.
text:
let
  lines = builtins.filter builtins.isString (builtins.split "\n" text);
  trim = line: builtins.head (builtins.match "[ \t]*(.*[^ \t]|)[ \t]*" line);
  empty = {
    section = null;
    pending = "";
    sections = { };
  };

  addSetting =
    state: key: value:
    let
      section = state.sections.${state.section};
    in
    state
    // {
      pending = "";
      sections = state.sections // {
        ${state.section} = section // {
          ${key} = (section.${key} or [ ]) ++ [ value ];
        };
      };
    };

  addSection =
    state: name:
    state
    // {
      pending = "";
      section = name;
      sections = {
        ${name} = { };
      }
      // state.sections;
    };

  readWhole =
    state: line:
    let
      section = builtins.match "\\[([A-Za-z0-9-]+)]" line;
      setting = builtins.match "([A-Za-z0-9-]+)[ \t]*=[ \t]*(.*)" line;
    in
    if line == "" then
      state // { pending = ""; }
    else if section != null then
      addSection state (builtins.head section)
    else if setting != null && state.section != null then
      addSetting state (builtins.head setting) (builtins.elemAt setting 1)
    else
      throw "unit file: '${line}' is neither [Section], Key=value nor a comment";

  readLine =
    state: line:
    let
      isComment = builtins.match "[ \t]*[#;].*" line != null;
      continued = builtins.match "(.*)\\\\" line;
    in
    if isComment then
      state
    else if continued != null then
      state // { pending = "${state.pending}${builtins.head continued} "; }
    else
      readWhole state (trim (state.pending + line));
in
(builtins.foldl' readLine empty lines).sections
