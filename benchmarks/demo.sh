#!/usr/bin/env bash
# The main job, end to end: a log turns into a small model and a table that says how often it is right.
# Run by `make demo`. Every stage skips what is whole, so that a demo that was interrupted goes on.
# WORK: folder of the artefacts, work/demo unless given: work/mygene, with the shipped model, stays as it is.
# FULL=1: trains on everything (an hour and a half on two cores), else a quick run.
set -euo pipefail
WORK=${WORK:-work/demo}
FULL=${FULL:-}
export OMP_WAIT_POLICY=PASSIVE GOMP_SPINCOUNT=0 TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1

if [ -n "$FULL" ]; then
  most=5000 draw=11000 extra='--conversations 900' valid=0.01 test=0.02 train=ft_configs/smollm2_135m_lora_cpu_full.yaml sweep=eval_configs/mygene_full.yaml
else
  # no refusals: in so few steps they cost more than they teach (docs/experiments.md)
  most=500 draw=2200 extra='--refusals 0' valid=0.02 test=0.05 train=ft_configs/smollm2_135m_lora_cpu.yaml sweep=eval_configs/mygene_quick.yaml
fi

model=$WORK/model/model-q8_0.gguf
times=()
stage() { # stage NAME COMMAND...: say what starts, and how long it took
  local name=$1 began=$SECONDS
  shift
  printf '\n\033[1m== %s\033[0m   %s\n' "$name" "$*" >&2
  "$@"
  times+=("$(printf '%6d s  %s' $((SECONDS - began)) "$name")")
}

mkdir -p "$WORK"
# the port is kept: results of the service are remembered under its address
python - "$WORK/port" <<'PY'
import pathlib, socket, sys
kept = pathlib.Path(sys.argv[1])
for port in ([int(kept.read_text())] if kept.is_file() else []) + [0]:
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            continue
        kept.write_text(str(s.getsockname()[1]))
        break
PY
port=$(cat "$WORK/port")
server=
cleanup() { if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; fi; }
trap cleanup EXIT

start_service() {
  querywright api serve --api mygene --port "$port" >"$WORK/service.log" 2>&1 &
  server=$!
  for _ in $(seq 240); do
    if curl -sf "http://127.0.0.1:$port/v3/metadata" >/dev/null 2>&1 ||
      python -c "import urllib.request as u; u.urlopen('http://127.0.0.1:$port/v3/metadata', timeout=2)" 2>/dev/null; then
      return 0
    fi
    kill -0 "$server" 2>/dev/null || { cat "$WORK/service.log" >&2; return 1; }
    sleep 1
  done
  echo "the service did not come up; see $WORK/service.log" >&2
  return 1
}

stage "a real service on loopback" start_service
# the log is drawn by data/samples/make_mygene_log.py: nobody could steer it, so that one client is enough
stage "logs to calls" querywright logs build --api mygene data/samples/mygene_access.log.gz \
  --server "http://127.0.0.1:$port" --keep-single-client --out "$WORK/calls"
cleanup
server=
stage "calls to pairs" querywright pairs make --api mygene --calls "$WORK/calls/calls.jsonl" \
  --most $most --draw $draw --per-call 1 $extra --out "$WORK/made"
stage "verify" querywright pairs verify "$WORK/made/pairs.jsonl" --api mygene \
  --out "$WORK/made/verified.jsonl" --rejects "$WORK/made/rejects.jsonl"
stage "split" querywright pairs split "$WORK/made/verified.jsonl" --valid $valid --test $test --out "$WORK/pairs"
stage "fine-tune" querywright finetune "$train" workspace="$WORK"
stage "export" querywright export "$train" workspace="$WORK" --api mygene --parity 20
stage "evaluate" querywright eval "$sweep" models.tuned.path="$model" pairs="$WORK/pairs/test.jsonl" \
  examples="$WORK/pairs/train.jsonl" out="$WORK/eval"
stage "model card with scores" querywright export "$train" workspace="$WORK" --api mygene --scores "$WORK/eval/scores.json" --parity 20

question="find the human gene with symbol CDK2 and show its name and summary"
printf '\n\033[1m== one request\033[0m   %s\n' "$question" >&2
querywright ask --api mygene --model "$model" --hits "$question"
printf '\nTimes of the stages:\n' >&2
printf '%s\n' "${times[@]}" >&2
printf '\nOpen the query assistant:  .venv/bin/querywright serve --model %s --port 7860\n' "$model" >&2
