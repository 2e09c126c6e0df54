#!/bin/sh
# rfc3161.sh DIR COMMAND...: a time stamp (RFC 3161) for the checkpoint, by whoever COMMAND asks.
# COMMAND gets the query on its standard input and prints the reply, such as
#   curl -sSf -H 'content-type: application/timestamp-query' --data-binary @- https://tsa.example/
# To check one later:
#   openssl ts -verify -data DIR/SIZE.checkpoint -in DIR/SIZE.tsr -CAfile tsa-ca.pem
set -eu
umask 077
dir=$1
shift
part=$dir/.$ORCHESTRA_SIZE.$$
trap 'rm -f "$part".*' EXIT
cat >"$part.checkpoint"
openssl ts -query -data "$part.checkpoint" -sha256 -cert -out "$part.tsq" 2>"$part.err"
"$@" <"$part.tsq" >"$part.tsr"
# Only a reply that is granted and for this very query counts.
openssl ts -reply -in "$part.tsr" -text 2>"$part.err" | grep -q '^Status: Granted'
nonce() { sed -n 's/^Nonce: //p'; }
asked=$(openssl ts -query -in "$part.tsq" -text 2>"$part.err" | nonce)
answered=$(openssl ts -reply -in "$part.tsr" -text 2>"$part.err" | nonce)
if [ -z "$asked" ] || [ "$asked" != "$answered" ]; then
  echo "the reply is not for this query" >&2
  exit 1
fi
mv "$part.checkpoint" "$dir/$ORCHESTRA_SIZE.checkpoint"
mv "$part.tsr" "$dir/$ORCHESTRA_SIZE.tsr"
