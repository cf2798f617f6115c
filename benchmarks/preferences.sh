#!/usr/bin/env bash
# Preferences by execution, and what DPO makes of them: the shipped model answers sentences at a temperature, the answers are
# run and compared with the calls that were meant, the better and the worse one are what DPO learns from; then before and
# after on a test set that neither training saw. Every stage skips what is whole.
#
#   bash benchmarks/preferences.sh                  # MyGene: 1,100 prompts; an hour and a half on two cores
#   PEOPLE=sentences.jsonl bash benchmarks/preferences.sh    # besides, before and after on sentences that people wrote
set -euo pipefail
API=${API:-mygene}
WORK=${WORK:-work/preferences}
DRAW=${DRAW:-800}
ASK=${ASK:-550}  # sentences of each kind
PEOPLE=${PEOPLE:-}
export OMP_WAIT_POLICY=PASSIVE GOMP_SPINCOUNT=0 TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1
command -v querywright >/dev/null || PATH=$PWD/.venv/bin:$PATH

stage() {
  printf '\n\033[1m== %s\033[0m   %s\n' "$1" "${*:2}" >&2
  "${@:2}"
}
made=$WORK/made
mkdir -p "$made/in"
stage "start" querywright export general --out "$WORK/start"
stage "calls nobody has logged" querywright pairs make --api "$API" --draw "$DRAW" --refusals 0 --seed 808 --out "$made"
stage "verify" querywright pairs verify "$made/pairs.jsonl" --api "$API" --out "$made/verified.jsonl"
stage "split" querywright pairs split "$made/verified.jsonl" --valid 0.02 --test 0.25 --unseen 0 --out "$WORK/pairs"
stage "sentences written one by one" querywright pairs import "data/written/$API.csv" --api "$API" --out "$made/written.jsonl"
head -n "$ASK" "$WORK/pairs/train.jsonl" >"$made/some_drawn.jsonl"
head -n "$ASK" "$made/written.jsonl" >"$made/some_written.jsonl"
stage "prompts" querywright pairs export "$made/some_drawn.jsonl" --format prompts --refusals drop --out "$made/in/drawn.jsonl"
stage "prompts" querywright pairs export "$made/some_written.jsonl" --format prompts --refusals drop --out "$made/in/written.jsonl"
stage "answers" querywright preferences respond --name "$API" --api "$API" --source "$made/in/*.jsonl" --target "$WORK/answers" \
  --models benchmarks/preferences.yaml
stage "judged by running them" querywright preferences execute --api "$API" --input "$WORK/answers/$API" --output "$WORK/judged"
knobs=(workspace="$WORK" checkpointer.checkpoint_dir="$WORK/start/checkpoint" dataset.source="$WORK/judged/preferences.jsonl")
stage "DPO" querywright finetune smollm2_135m_dpo_cpu "${knobs[@]}"
stage "export" querywright export smollm2_135m_dpo_cpu "${knobs[@]}" --api "$API" --out "$WORK/after" --kinds q8_0 --parity 20
for pairs in "$WORK/pairs/test.jsonl" $PEOPLE; do
  stage "before and after" querywright eval gate --api "$API" --before tuned --after "$WORK/after/model-q8_0.gguf" --pairs "$pairs" || true
done
