#!/usr/bin/env bash
# The main job before your eyes: three nodes, the product installed and linked, an account's mail moved while it is in use.
# Safe to run again. `make lab-down` removes every trace.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

MESSAGES=${MESSAGES:-3000}
PASSWORD='Xk7!pQz93-wVbR2m'
LOG=$(mktemp -d "${TMPDIR:-/tmp}/linked-nodes-lab.XXXXXX")
LAB=target/release/lab
PRODUCT=target/release/linked-nodes
bold=$(tput bold 2>/dev/null || true)
plain=$(tput sgr0 2>/dev/null || true)
step=starting
began=$SECONDS

say() { printf '%s\n' "$*"; }
step() {
	step=$1
	printf '\n%s▸ %s%s\n' "$bold" "$1" "$plain"
}
fail() {
	printf '\n%sFailed: %s%s\n' "$bold" "$step" "$plain" >&2
	[ $# -gt 0 ] && printf '%s\n' "$*" >&2
	[ -s "$LOG/last" ] && tail -n 20 "$LOG/last" >&2
	printf 'Logs: %s; of a node: %s logs parent\n' "$LOG" "$LAB" >&2
	exit 1
}
# Runs a command with its output in the log; shows the log when it fails.
quiet() { "$@" >"$LOG/last" 2>&1 || fail "$*"; }
on() {
	local node=$1
	shift
	"$LAB" exec "$node" -- "$@"
}
client() { on client /usr/local/cpanel/bin/lab client "$@"; }
# The value of a top-level member of a JSON document on standard input.
member() { sed -n "s/^.*\"$1\": *\"\{0,1\}\([^\",}]*\)\"\{0,1\}.*$/\1/p" | head -n 1; }
count() { grep -c '"uid":' "$1"; }

[ "$(id -u)" = 0 ] || fail 'The lab makes network and mount namespaces: run it as root.'
command -v cargo >/dev/null || fail 'A Rust toolchain is needed: cargo is not on the PATH.'

step 'Building a release of the product and the lab (some minutes the first time)'
cargo build --release --workspace --locked || fail

step 'Debian packages'
"$LAB" packages --install || fail

step 'Bringing up parent, mail1 and mail2'
"$LAB" up --children 2 || fail

step 'Installing Linked Nodes in each node, with its own installer'
for node in parent mail1 mail2; do
	quiet "$LAB" push "$node" "$PRODUCT" /root/linked-nodes
	quiet on "$node" /root/linked-nodes install
	# No systemd runs in a node: started again, it starts the product by itself.
	quiet on "$node" sh -c "printf 'setsid /usr/local/bin/linked-nodes supervise </dev/null >>/var/log/linked-nodes.log 2>&1 &\\n' > /etc/rc.local"
	for _ in $(seq 100); do
		on "$node" linked-nodes status >"$LOG/last" 2>&1 && break
		sleep 0.1
	done
	quiet on "$node" linked-nodes status
	say "  $node: $(on "$node" linked-nodes doctor 2>/dev/null | grep -c ' ok ') checks of linked-nodes doctor are ok"
done

step 'Linking mail1 and mail2 to the parent'
for child in mail1 mail2; do
	if on parent linked-nodes node show "$child" >/dev/null 2>&1; then
		say "  $child is linked already"
		continue
	fi
	on "$child" /usr/local/cpanel/bin/whmapi1 api_token_revoke token_name=linked-nodes >/dev/null 2>&1
	token=$(on "$child" /usr/local/cpanel/bin/whmapi1 --output=json api_token_create token_name=linked-nodes | member token)
	[ -n "$token" ] || fail "$child makes no API token"
	on parent linked-nodes node link "$child" "$child.lab.test" --token "$token" || fail
done
on parent linked-nodes node list

# A fresh account each time, so that the lab can be shown again without being taken down.
number=1
while on parent id "shop$number" >/dev/null 2>&1; do number=$((number + 1)); done
user=shop$number domain=shop$number.test

step "Creating the account $user with the mailbox info@$domain, and $MESSAGES messages in it"
quiet on parent linked-nodes whmapi1 createacct "username=$user" "domain=$domain" "password=$PASSWORD"
quiet on parent linked-nodes uapi "--user=$user" Email add_pop email=info "domain=$domain" "password=$PASSWORD" quota=0
"$LAB" fill "info@$domain" --messages "$MESSAGES" --folders 12 || fail
client imap-dump --host "mail.$domain" --user "info@$domain" --password "$PASSWORD" >"$LOG/before.json" || fail
say "  an IMAP client sees $(count "$LOG/before.json") messages at $(member peer <"$LOG/before.json")"

step 'What the move will do'
on parent linked-nodes account distribute "$user" mail1 --dry-run || fail

step 'Distributing it to mail1, while mail keeps arriving and a client stays at work'
on client rm -f /root/stop
client smtp-drip --server parent.lab.test --from sender@outside.test --to "info@$domain" --prefix live --every-ms 100 \
	--stop-file /root/stop >"$LOG/drip.json" 2>"$LOG/drip.log" &
drip=$!
client imap-churn --host parent.lab.test --user "info@$domain" --password "$PASSWORD" --seed 1 --every-ms 50 \
	--stop-file /root/stop >"$LOG/churn.json" 2>"$LOG/churn.log" &
churn=$!
on parent linked-nodes account distribute "$user" mail1
moved=$?
on client touch /root/stop
wait "$drip" "$churn"
[ "$moved" = 0 ] || fail 'The move did not end well; see: linked-nodes move list.'

step "Reading the mailbox as a client that only knows mail.$domain"
# Resolvers may keep the former address for the record's time to live; the lab's is told to forget it now.
quiet on resolver rec_control --socket-dir=/run/pdns-recursor wipe-cache "$domain\$"
for _ in $(seq 300); do
	[ "$(on parent /usr/sbin/exim -bp | grep -c "@$domain")" = 0 ] && break
	sleep 0.2
done
client imap-dump --host "mail.$domain" --user "info@$domain" --password "$PASSWORD" >"$LOG/after.json" || fail
say "  mail.$domain is $("$LAB" resolve "mail.$domain" | grep -oE '10[.][0-9.]+' | tail -n 1); the mailbox is served by $(member peer <"$LOG/after.json")"
for file in after churn drip; do quiet "$LAB" push client "$LOG/$file.json" "/root/$file.json"; done
client imap-check --model /root/churn.json --dump /root/after.json --smtp /root/drip.json >"$LOG/check" 2>&1 || {
	cat "$LOG/check" >&2
	fail 'The mailbox is not as its clients were promised.'
}

id=$(on parent linked-nodes move list --json | member id)
left=$(on parent sh -c "find /home/$user/mail -type f \\( -path '*/cur/*' -o -path '*/new/*' \\) | wc -l")
step 'Summary'
on parent linked-nodes move show "$id" | grep -E '^(Move|  (state|messages|size|verified|pause|started|ended))'
cat <<EOF
  before     $(count "$LOG/before.json") messages on the parent, as an IMAP client saw them
  meanwhile  $(grep -cE '^ +[0-9]+,?$' "$LOG/drip.json") messages accepted by SMTP, $(member operations <"$LOG/churn.json") IMAP operations acknowledged,
             longest time the client was without service: $(member longest_gap_ms <"$LOG/churn.json") ms
  after      $(count "$LOG/after.json") messages on mail1: nothing lost, nothing doubled (lab client imap-check)
  parent     $left messages left in /home/$user/mail
  took       $((SECONDS - began)) s in all; documents of the clients are in $LOG

Try next:
  $LAB exec parent -- linked-nodes account list
  $LAB exec parent -- linked-nodes move show $id
  $LAB exec parent -- linked-nodes account dedistribute $user
  $LAB exec client -- curl -s -u $user:'$PASSWORD' https://mail1.lab.test:2083/execute/Email/list_pops
  $LAB shell parent
  make lab-down
EOF
