#!/usr/bin/env bash
# The general adapter: one model for every API with a query language, taught on three of them to read the nearest fields
# off its prompt. MyDisease is left out, so that it stays an API that was never seen. Every stage skips what is whole.
#
#   bash benchmarks/general.sh                      # MINUTES=90 of training on two cores, DRAW=2400 calls for each API
#   START=folder/of/an/adapter bash benchmarks/general.sh   # goes on from another adapter
set -euo pipefail
WORK=${WORK:-work/general}
MINUTES=${MINUTES:-90}
DRAW=${DRAW:-2400}
LR=${LR:-1e-3}
START=${START:-}
APIS=${APIS:-"mygene myvariant mychem"}
export OMP_WAIT_POLICY=PASSIVE GOMP_SPINCOUNT=0 TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1
command -v querywright >/dev/null || PATH=$PWD/.venv/bin:$PATH

stage() {
  printf '\n\033[1m== %s\033[0m   %s\n' "$1" "${*:2}" >&2
  "${@:2}"
}
mkdir -p "$WORK"
for api in $APIS; do
  made=$WORK/made/$api
  stage "$api: calls nobody has logged" querywright pairs make --api "$api" --draw "$DRAW" --conversations 120 --out "$made"
  stage "$api: sentences written one by one" querywright pairs import "data/written/$api.csv" --api "$api" --out "$made/written.jsonl"
  for kind in pairs written; do
    stage "$api: $kind" querywright pairs verify "$made/$kind.jsonl" --api "$api" --out "$made/$kind.verified.jsonl" \
      --rejects "$made/$kind.rejects.jsonl"
  done
  cat "$made"/*.verified.jsonl
done >"$WORK.pairs.jsonl"
stage "split" querywright pairs split "$WORK.pairs.jsonl" --valid 0.02 --test 0.03 --unseen 0 --vary 0.4 --out "$WORK/pairs"
knobs=(workspace="$WORK" max_minutes="$MINUTES" optimizer.lr="$LR" ${START:+start_adapter="$START"})
stage "train" querywright finetune smollm2_135m_lora_cpu_full "${knobs[@]}"
stage "export" querywright export smollm2_135m_lora_cpu_full --api general "${knobs[@]}" --out "$WORK/model" --kinds q8_0 --parity 20
