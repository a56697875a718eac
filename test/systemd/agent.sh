#!/bin/sh
# Runs inside the booted Debian, as a unit: takes the numbers of scripts from a FIFO, runs each, leaves output and status.
exec 3<> /exchange/requests
touch /exchange/booted
while read -r id <&3; do
  {
    sh "/exchange/$id.sh" > "/exchange/$id.out" 2>&1 3<&-
    echo $? > "/exchange/$id.part"
    mv "/exchange/$id.part" "/exchange/$id.status"
  } &
done
