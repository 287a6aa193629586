#!/bin/sh
# Train the model `tiny` from nothing: scenes, tokenizer, autoencoder, latents, UNet, export, evaluation; then its extras.
# Each step continues where it was stopped and does nothing when it is done. Progress lands in training/work/.
#   PYTHON       the Python to use (.venv/bin/python)
#   VAE_MINUTES, REFINE_MINUTES  wall clock for the autoencoder (25) and for training it on with small objects (17)
#   UNTIL        when the UNet must be ready, as `date` reads it; else UNET_MINUTES (60) of wall clock
set -eu
cd "$(dirname "$0")/.."
python="${PYTHON:-.venv/bin/python}"
mkdir -p training/work
# Threads that wait must not burn the cores that others use.
export OMP_WAIT_POLICY=PASSIVE KMP_BLOCKTIME=0 OMP_NUM_THREADS="${OMP_NUM_THREADS:-$(nproc)}"
# Keep freed memory: handing gigabytes back to the system and taking them again at every step costs more than the sums.
export MALLOC_MMAP_THRESHOLD_=33554432 MALLOC_TRIM_THRESHOLD_=17179869184 MALLOC_TOP_PAD_=67108864 MALLOC_ARENA_MAX=2
step() {
    name="$1"
    shift
    echo "$(date -u +%H:%M:%S) $name"
    "$python" -W ignore -m "training.$name" "$@" >>"training/work/$name.log" 2>&1
}
step data
step tokenizer
step vae --minutes "${VAE_MINUTES:-25}"
step encode
step refine --minutes "${REFINE_MINUTES:-17}"
step encode
step export
if [ -n "${UNTIL:-}" ]; then
    step unet --until "$(date -d "$UNTIL" +%s)"
else
    step unet --minutes "${UNET_MINUTES:-60}"
fi
step plots
step export
step evaluate
step evaluate_pairs
# What goes with the model: each is cheap beside it, and needs only the exported folder.
step preview
step style_loras --style outlined
step style_loras --style striped --convolutions
step inversion
step outlines
step evaluate_extras
echo "$(date -u +%H:%M:%S) done"
