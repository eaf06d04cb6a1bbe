#!/bin/sh
#WHMADDON:linkednodes:Linked Nodes:linkednodes.png
#ACLS:all
# Linked Nodes in WHM. The program gets what a page needs of the environment, and nothing else of it.
exec /usr/bin/env -i \
    PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 \
    REQUEST_METHOD="${REQUEST_METHOD-}" QUERY_STRING="${QUERY_STRING-}" \
    CONTENT_TYPE="${CONTENT_TYPE-}" CONTENT_LENGTH="${CONTENT_LENGTH-}" \
    REMOTE_USER="${REMOTE_USER-}" cp_security_token="${cp_security_token-}" \
    /usr/local/cpanel/3rdparty/linked-nodes/bin/linked-nodes cgi
