#!/usr/bin/env bash
# An API that Querywright has never seen, from its OpenAPI file and a log to an assistant. Prints the time of each stage;
# every stage skips what is whole, so that a walk that was interrupted goes on.
#
#   bash benchmarks/new_api.sh                                  # the shipped OpenAPI file, a log drawn from it
#   OPENAPI=my.yaml LOG=access.log.gz NAME=mine bash benchmarks/new_api.sh
#
# MINUTES: of training, 10 unless given; 0 stops before it. LINES: of the log that is drawn where LOG is not given.
# VALIDATE: `--http` runs the log's calls against the service, `--records FILE` against local records.
# Measured on two busy cores: a minute before training, half a minute of export.
# ASK: sentences to ask in the end, one a line. WORK: folder of the artefacts.
set -euo pipefail
OPENAPI=${OPENAPI:-data/apis/earthquakes/openapi.yaml}
NAME=${NAME:-quakes}
WORK=${WORK:-work/new_api}
LOG=${LOG:-}
LINES_=${LINES:-20000}
MINUTES=${MINUTES:-10}
VALIDATE=${VALIDATE:---no-validate}
MOST=${MOST:-1200}
DRAW=${DRAW:-2000}
REFUSALS=${REFUSALS:-0} # with little training they cost more than they teach (docs/experiments.md)
ASK=${ASK:-"earthquakes stronger than magnitude 6 in March 2021, largest first
how many quarry blasts were there since 2023-01-01?
ten earthquakes within 200 km of 35.7, 139.7 deeper than 50 km"}
export OMP_WAIT_POLICY=PASSIVE GOMP_SPINCOUNT=0 TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1
command -v querywright >/dev/null || PATH=$PWD/.venv/bin:$PATH

api=$WORK/api/api.yaml
train=ft_configs/smollm2_135m_lora_cpu.yaml
knobs=(workspace="$WORK" max_minutes="$MINUTES" max_steps_per_epoch=$((MINUTES * 22 + 20)) save_every_minutes=2)
model=$WORK/model/model-q8_0.gguf
times=()
stage() { # stage NAME COMMAND...: say what starts, and how long it took
  local name=$1 began
  began=$(date +%s.%N)
  shift
  printf '\n\033[1m== %s\033[0m   %s\n' "$name" "$*" >&2
  "$@"
  times+=("$(awk -v a="$began" -v b="$(date +%s.%N)" -v n="$name" 'BEGIN { printf "%8.1f s  %s", b - a, n }')")
}
report() { printf '\nTimes of the stages:\n' >&2; printf '%s\n' "${times[@]}" >&2; }

import() { # the definition is a person's to edit afterwards: it is not written over
  [ -f "$api" ] || querywright schema import "$OPENAPI" --name "$NAME" --out "$WORK/api"
}
sample() { [ -f "$1" ] || python data/samples/make_typed_log.py --api "$api" --lines "$LINES_" --out "$1"; }
ask() {
  while IFS= read -r sentence; do
    printf '\n%s\n' "$sentence" >&2
    querywright ask --api "$api" --model "$model" --workspace "$WORK" --threads 1 "$sentence" || true
  done <<<"$ASK"
}

mkdir -p "$WORK"
stage "OpenAPI to a definition" import
if [ -z "$LOG" ]; then
  LOG=$WORK/access.log.gz
  stage "a log of such an API (drawn)" sample "$LOG"
fi
# shellcheck disable=SC2086  # VALIDATE may hold two words
stage "log to calls" querywright logs build --api "$api" "$LOG" --out "$WORK/calls" $VALIDATE
stage "words for fields and parameters" querywright schema annotate --api "$api" --calls "$WORK/calls/calls.jsonl" \
  --work "$WORK/annotate"
stage "definition to a language" querywright grammar build --api "$api" --out "$WORK/grammar"
stage "calls to pairs" querywright pairs make --api "$api" --calls "$WORK/calls/calls.jsonl" \
  --most "$MOST" --draw "$DRAW" --per-call 1 --refusals "$REFUSALS" --out "$WORK/made"
stage "verify" querywright pairs verify "$WORK/made/pairs.jsonl" --api "$api" \
  --out "$WORK/made/verified.jsonl" --rejects "$WORK/made/rejects.jsonl"
stage "split" querywright pairs split "$WORK/made/verified.jsonl" --api "$api" --valid 0.02 --test 0.03 --out "$WORK/pairs"
if [ "$MINUTES" = 0 ]; then
  report
  printf '\nMINUTES=0: no training. MINUTES=10 bash benchmarks/new_api.sh goes on from here.\n' >&2
  exit 0
fi
stage "fine-tune ($MINUTES minutes at most)" querywright finetune "$train" "${knobs[@]}"
stage "export" querywright export "$train" "${knobs[@]}" --api "$api" --no-merged --kinds q8_0 --parity 20
cat >"$WORK/eval.yaml" <<YAML
# querywright eval $WORK/eval.yaml
# The tuned model on held-out pairs of the template teacher.
api: $api
models:
  tuned: {path: $model, strategies: [tuned], decodings: [grounded], limit: ${LIMIT:-40}}
pairs: $WORK/pairs/test.jsonl
execute: false
out: $WORK/eval
YAML
stage "evaluate" querywright eval "$WORK/eval.yaml"
stage "three questions" ask
report
printf '\nOpen the assistant:  querywright serve --api %s --model %s --port 7860\n' "$api" "$model" >&2
