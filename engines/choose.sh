#!/usr/bin/env bash
# Summary: chooses the engine: docker if a Docker engine and s2i are available, or else local.
# Usage:   . engines/choose.sh      (from a script that has changed to the repository's root)
set -euo pipefail
. engines/common.sh

engine_answers() { # engine_answers: whether a Docker engine answers within 10 seconds
  python3 builders/commands.py limit 10 docker version --format '{{.Server.Version}}' >/dev/null
}

docker_problem() { # docker_problem: prints why the docker engine can't be used, or nothing
  if ! command -v docker >/dev/null; then
    echo "docker is not on the PATH (https://docs.docker.com/engine/install/)"
  elif ! engine_answers; then
    echo "no Docker engine answers (start it, join its group, or set DOCKER_HOST)"
  elif ! command -v s2i >/dev/null; then
    echo "s2i is not on the PATH (if Go is installed, make tools builds it)"
  fi
}

choose_engine() { # choose_engine: sets ENGINE to docker or local, and prints the reason once
  local problem reason="ENGINE=${ENGINE:=auto}"
  case $ENGINE in
    local) ;;
    docker | auto)
      problem=$(docker_problem)
      if [ -z "$problem" ]; then
        [ "$ENGINE" = docker ] || reason="Docker and s2i are available"
        ENGINE=docker
      elif [ "$ENGINE" = docker ]; then
        die 69 "ENGINE=docker, but $problem. ENGINE=local needs neither Docker nor s2i."
      else
        # make doctor prints the advice too.
        reason=${problem%% (*}
        ENGINE=local
      fi
      ;;
    *)
      die 2 "ENGINE=$ENGINE: expected docker, local or auto"
      ;;
  esac
  export ENGINE
  # One command of a person runs several scripts. The first one prints the engine.
  [ -n "${ENGINE_REPORTED:-}" ] || say "Engine: $ENGINE ($reason)"
  export ENGINE_REPORTED=1
}
