#!/usr/bin/env bash
# Makes the certificates and signatures of this directory anew, with the real gpg: `tests/recorded.rs` judges them.
# Made with GnuPG 2.2.40. Whoever makes them anew has other keys, and the same verdicts.
set -euo pipefail
cd "$(dirname "$0")"
GNUPGHOME=$(mktemp -d)
export GNUPGHOME
trap 'gpgconf --kill all; rm -rf "$GNUPGHOME"' EXIT
printf 'what was signed\n' >message

# Time stands still at the first moment of 2024, unless a command says otherwise.
at() {
  local when=$1
  shift
  gpg --quiet --yes --batch --pinentry-mode loopback --passphrase '' --faked-system-time "$when!" "$@"
}
now() { at 20240101T000000 "$@"; }
sign() { now --armor -u "$1" -o "$2.sig" "${@:3}" --detach-sign message; }
clear_sign() { now -u "$1" -o "$1.txt" --clearsign message; }
fingerprint() { gpg --with-colons --list-keys "$1" | awk -F: '$1 == "fpr" { print $10 }'; }
export_as() { gpg --armor --export "$1@example.com" >"$2.asc"; }

# A key that ends after thirty days, and then is given thirty days more.
now --quick-generate-key ending@example.com ed25519 default 30d
sign ending ending
clear_sign ending
export_as ending ending
at 20240115T000000 --quick-set-expire "$(fingerprint ending | head -1)" 30d
export_as ending extended

# Signatures with something to say: that they end, a long note, a note that has to be understood.
now --quick-generate-key notes@example.com ed25519 sign never
export_as notes notes
# The ending key names somebody who may revoke it, in a direct signature that says nothing of an end.
printf 'addrevoker\nnotes@example.com\ny\nsave\n' |
  gpg --quiet --yes --pinentry-mode loopback --passphrase '' --faked-system-time '20240116T000000!' \
    --command-fd 0 --no-tty --edit-key ending@example.com 2>/dev/null
export_as ending revoker
sign notes one-day --default-sig-expire 1d
sign notes noted --sig-policy-url https://example.com/policy \
  --sig-notation "note@example.com=$(printf 'n%.0s' {1..300})"
sign notes critical --sig-notation '!only-for@example.com=staging'

# A primary key that certifies; subkeys that sign, of which one is revoked, and one that decrypts.
now --quick-generate-key team@example.com ed25519 cert never
primary=$(fingerprint team)
now --quick-add-key "$primary" ed25519 sign never
now --quick-add-key "$primary" ed25519 sign never
now --quick-add-key "$primary" cv25519 encr never
mapfile -t keys < <(fingerprint team)
sign "${keys[1]}!" team
sign "${keys[2]}!" gone
printf 'key 2\nrevkey\ny\n0\n\ny\nsave\n' |
  gpg --quiet --yes --pinentry-mode loopback --passphrase '' --faked-system-time '20240102T000000!' \
    --command-fd 0 --no-tty --edit-key "$primary" 2>/dev/null
export_as team team

# The largest curve.
now --quick-generate-key p384@example.com nistp384 sign never
sign p384 p384
export_as p384 p384
fingerprint p384 | tr -d '\n' >p384.fingerprint

# Revocations that cannot be judged here: over SHA-1, and over a hash that does not fit the curve.
revoke() {
  printf 'y\n0\n\ny\n' | gpg --quiet --yes --pinentry-mode loopback --passphrase '' --armor \
    --faked-system-time '20240102T000000!' --command-fd 0 --no-tty "$2" "$3" --gen-revoke "$1@example.com" \
    >revocation 2>/dev/null
  gpg --quiet --batch --import revocation
  rm revocation
  export_as "$1" "$1-revoked"
}
now --quick-generate-key old@example.com ed25519 sign never
sign old old
clear_sign old
export_as old old
revoke old --cert-digest-algo SHA1
now --quick-generate-key p256@example.com nistp256 sign never
sign p256 p256
export_as p256 p256
revoke p256 --cert-digest-algo SHA512

# An RSA signature over SHA-256, as ssh-agent makes it for those who ask: ssh-keygen itself always asks for SHA-512.
hex() { od -An -v -tx1 | tr -d ' \n'; }
bytes() { printf '%s' "$1" | sed 's/../\\x&/g' | xargs -0 printf '%b'; }
string() { printf '%08x%s' $((${#1} / 2)) "$1"; }
text() { string "$(printf '%s' "$1" | hex)"; }
ssh-keygen -q -t rsa -b 2048 -m PEM -N '' -C rsa -f "$GNUPGHOME/rsa"
cp "$GNUPGHOME/rsa.pub" .
magic=$(printf SSHSIG | hex)
what="$(text git)$(text '')$(text sha256)"
sum=$(sha256sum message | cut -d' ' -f1)
signature=$(bytes "$magic$what$(string "$sum")" | openssl dgst -sha256 -sign "$GNUPGHOME/rsa" | hex)
public=$(cut -d' ' -f2 rsa.pub | base64 -d | hex)
{
  echo '-----BEGIN SSH SIGNATURE-----'
  bytes "${magic}00000001$(string "$public")$what$(string "$(text rsa-sha2-256)$(string "$signature")")" | base64 -w 70
  echo '-----END SSH SIGNATURE-----'
} >rsa-sha2-256.sig
printf 'rsa %s\n' "$(cat rsa.pub)" >"$GNUPGHOME/signers"
ssh-keygen -q -Y verify -f "$GNUPGHOME/signers" -I rsa -n git -s rsa-sha2-256.sig <message
# What `ssh-keygen -l` says of the key.
ssh-keygen -lf rsa.pub | cut -d' ' -f2 | tr -d '\n' >rsa.fingerprint
