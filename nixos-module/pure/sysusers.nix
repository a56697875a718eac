# Takes the text of a sysusers.d file, gives { groups = [ … ]; users.NAME = { description, home, groups }; }.
# Refuses a line of any other kind, by quoting it, so that nothing in the file is passed over.
text:
let
  inherit (builtins) elemAt filter match;
  lines = filter (line: builtins.isString line && match "#.*|" line == null) (builtins.split "\n" text);
  parse =
    line:
    let
      group = match "g ([a-z-]+) -" line;
      user = match "u ([a-z-]+) - \"([^\"]*)\" (/[^ ]*)" line;
      member = match "m ([a-z-]+) ([a-z-]+)" line;
    in
    if group != null then
      { group = elemAt group 0; }
    else if user != null then
      {
        user = elemAt user 0;
        description = elemAt user 1;
        home = elemAt user 2;
      }
    else if member != null then
      {
        member = elemAt member 0;
        of = elemAt member 1;
      }
    else
      throw "sysusers file: '${line}' is none of \"g NAME -\", \"u NAME - \"…\" HOME\" and \"m USER GROUP\"";
  entries = map parse lines;
in
{
  groups = map (entry: entry.group) (filter (entry: entry ? group) entries);
  users = builtins.listToAttrs (
    map (entry: {
      name = entry.user;
      value = {
        inherit (entry) description home;
        groups = map (m: m.of) (filter (m: m.member or null == entry.user) entries);
      };
    }) (filter (entry: entry ? user) entries)
  );
}
