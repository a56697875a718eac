# Takes the text of a tmpfiles.d file, gives its rules but those below /etc, where NixOS makes everything itself.
text:
builtins.filter (line: builtins.isString line && builtins.match "#.*||[^/]* /etc/.*" line == null) (
  builtins.split "\n" text
)
