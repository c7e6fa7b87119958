"""An SBOM scanner by BuildKit's protocol, made of busybox: it lists the files of /app and tells what it was allowed to do.

A file /app/behave in the image makes it hostile.
"""

from __future__ import annotations

from .images import PATH, Layer, RegistryClient, busybox_layer

SCAN = r"""#!/bin/sh
set -eu
source=$BUILDKIT_SCAN_SOURCE out=$BUILDKIT_SCAN_DESTINATION/$(basename "$BUILDKIT_SCAN_SOURCE").spdx.json
case $(cat "$source/app/behave" 2>/dev/null || true) in
  fail) exit 3 ;;
  large) dd if=/dev/zero of="$out" bs=1M count=20 2>/dev/null; exit 0 ;;
  link) ln -s /etc/passwd "$out"; exit 0 ;;
  hang) sleep 600 ;;
esac
echo x >"$source/written" 2>/dev/null || true
networks=$(ls /sys/class/net | tr '\n' ' ')
cat >/tmp/sbom <<END
{"_type": "https://in-toto.io/Statement/v0.1", "predicateType": "https://spdx.dev/Document",
 "subject": [{"name": "another", "digest": {"sha256": "00"}}],
 "predicate": {"spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT", "dataLicense": "CC0-1.0", "name": "scan",
  "documentNamespace": "https://scanner.example.com/1",
  "creationInfo": {"created": "2026-01-01T00:00:00Z", "creators": ["Tool: kit $MODE"]},
  "comment": "networks $networks",
  "packages": [
END
comma=
for file in $(cd "$source" && find app arch -type f ! -name .env 2>/dev/null | sort); do
  echo "$comma{\"name\": \"$file\", \"SPDXID\": \"SPDXRef-$(echo "$file" | tr -c 'a-z0-9\n' -)\", \"downloadLocation\": \"NOASSERTION\"}" >>/tmp/sbom
  comma=,
done
echo ']}}' >>/tmp/sbom
cp /tmp/sbom "$out"
"""


def push_scanner(client: RegistryClient, name: str = "sbom/scanner:1") -> str:
    """Gives its reference."""
    client.push_image(name, [busybox_layer(), Layer().file("/scan", SCAN, 0o755)],
                      {"Env": [PATH, "MODE=entry"], "Entrypoint": ["/bin/sh"], "Cmd": ["/scan"], "User": "nobody"})
    return f"{client.host}/{name}"
