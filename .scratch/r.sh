#!/bin/sh
f=$1; shift
o=/work/wt/rewrite/.scratch/$(basename $f .ts).mjs
npx esbuild $f --bundle --platform=node --format=esm --packages=external --outfile=$o --log-level=error && node $o "$@"
