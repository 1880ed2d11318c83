#!/bin/sh
# Makes sample-recording.mp4: 12 s of a moving test picture with a soft chord, all of it drawn and played by ffmpeg itself
# (no material of others, no fonts). Debian: apt-get install ffmpeg. H.264 main + AAC, the index in front (faststart).
set -eu
cd "$(dirname "$0")"

picture='gradients=size=640x360:rate=25:duration=12:speed=0.02:c0=0x14213d:c1=0x2a9d8f:nb_colors=2:seed=7'
pattern='testsrc2=size=240x136:rate=25:duration=12'
# A3, C#4, E4: an A major chord that swells and fades twice.
chord='aevalsrc=exprs=0.12*(sin(2*PI*220*t)+sin(2*PI*277.18*t)+sin(2*PI*329.63*t))*pow(sin(PI*t/6)\,2):sample_rate=48000:duration=12'

ffmpeg -hide_banner -loglevel error -nostdin -y \
  -f lavfi -i "$picture" -f lavfi -i "$pattern" -f lavfi -i "$chord" \
  -filter_complex "[0:v][1:v]overlay=x='(W-w)/2*(1+sin(2*PI*t/6))':y='(H-h)/2*(1+sin(2*PI*t/4))'[v]" \
  -map '[v]' -map 2:a -t 12 \
  -c:v libx264 -profile:v main -level 3.0 -pix_fmt yuv420p -preset veryslow -crf 28 -g 50 -threads 1 \
  -c:a aac -b:a 64k -ac 1 -map_metadata -1 -fflags +bitexact -flags:v +bitexact -flags:a +bitexact \
  -movflags +faststart sample-recording.mp4
