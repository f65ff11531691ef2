#!/bin/sh
# Prints what the container engine of this host says that a plane runs: its deployment record.
#
#   ssh HOST sh -s CONTAINER < deploy/record.sh > hetzner.record.json
#
# Of a container's variables only those are printed that decide which code is loaded: the others are
# the plane's secrets, and they stay here. Exit code 0 when all is printed; else the file is none.
# shellcheck disable=SC2016  # the dollars are the engine's templates', not the shell's
set -eu
if [ "$#" -ne 1 ]; then
  echo "usage: sh record.sh CONTAINER, expected the name of the runtime's container" >&2
  exit 2
fi

loaders='"LD_AUDIT" "LD_LIBRARY_PATH" "LD_PRELOAD" "NODE_OPTIONS" "NODE_PATH" "PATH"'
loaders="$loaders"' "PYTHONHOME" "PYTHONPATH" "PYTHONSTARTUP" "PYTHONUSERBASE"'
each='{{if eq (index (split . "=") 0) '"$loaders"'}}{{$comma}}{{json .}}{{$comma = ","}}{{end}}'
config='"Entrypoint":{{json .Config.Entrypoint}},"Cmd":{{json .Config.Cmd}},
  "WorkingDir":{{json .Config.WorkingDir}},
  "Env":[{{$comma := ""}}{{range .Config.Env}}'"$each"'{{end}}]'
name=org.opencontainers.image
labels='"'$name'.revision":{{json (index .Config.Labels "'$name'.revision")}},
  "'$name'.version":{{json (index .Config.Labels "'$name'.version")}}'

taken_at=$(date -u +%Y-%m-%dT%H:%M:%SZ)
container=$(docker container inspect --format '{"Image":{{json .Image}},
  "State":{"Running":{{json .State.Running}},"StartedAt":{{json .State.StartedAt}}},
  "HostConfig":{"Privileged":{{json .HostConfig.Privileged}},"Tmpfs":{{json .HostConfig.Tmpfs}}},
  "Mounts":[{{range $n, $one := .Mounts}}{{if $n}},{{end}}{"Destination":{{json $one.Destination}}}{{end}}],
  "Config":{"Image":{{json .Config.Image}},'"$config"'}}' -- "$1")
id=$(docker container inspect --format '{{.Image}}' -- "$1")
image=$(docker image inspect --format '{"Id":{{json .Id}},"RepoDigests":{{json .RepoDigests}},
  "Config":{"Labels":{'"$labels"'},'"$config"'}}' -- "$id")
printf '{"takenAt":"%s",\n"container":%s,\n"image":%s}\n' "$taken_at" "$container" "$image"
