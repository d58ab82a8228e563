import { readModel } from '../src/graph/import.ts'
import { propagateShapes } from '../src/graph/shapes.ts'
import { inferTypes } from '../src/ort/typing.ts'
for (const f of process.argv.slice(2)) {
  const m = readModel('/work/shared/models/own/' + f + '.onnx')
  const t=performance.now()
  const r = await inferTypes(m)
  const t2=performance.now(); propagateShapes(m); console.log('prop',(performance.now()-t2).toFixed(1))
  console.log(f, m.graph.nodeCount, (performance.now()-t).toFixed(0)+'ms', r.unknown)
  let n=0
  for (const node of m.graph.nodes()) if (node.is('Add') && n++<12) console.log('  ', node.name, node.inputs.map(v=>JSON.stringify(v!.shape)+(v!.tensor||v!.constant?'c':'')).join(' + '), '->', JSON.stringify(node.output().shape))
}
