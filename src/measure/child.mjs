// Runs models in a process of its own, so that a crash of native code ends this process and not the build. A plain module
// without imports of its own: Node starts it as it is. `isolated.ts` is the other end.
const ort = (await import(process.argv[2])).default

ort.env.logLevel = 'fatal'
const sessions = new Map()
let last = 0

const tensorsOf = (feeds) =>
  Object.fromEntries(
    Object.entries(feeds).map(([name, { dtype, dims, data }]) => [name, new ort.Tensor(dtype, data, dims)]),
  )

function fromOrt({ type, dims, data }) {
  return {
    dtype: type,
    dims,
    data: type === 'string' ? data : new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  }
}

const jobs = {
  async open({ model, options }) {
    const start = performance.now()
    const before = process.memoryUsage().rss
    const session = await ort.InferenceSession.create(model, { logSeverityLevel: 4, ...options })
    sessions.set(++last, session)
    const describe = (list) =>
      list.map(({ name, isTensor, type, shape }) => ({
        name,
        isTensor,
        type: isTensor ? type : '',
        shape: isTensor ? shape : [],
      }))
    const [ms, memory] = [performance.now() - start, process.memoryUsage().rss - before]
    return {
      session: last,
      ms,
      memory,
      inputs: describe(session.inputMetadata),
      outputs: describe(session.outputMetadata),
    }
  },
  async run({ session, feeds, wanted }) {
    const given = tensorsOf(feeds)
    const results = await (wanted ? sessions.get(session).run(given, wanted) : sessions.get(session).run(given))
    // Sequences and maps have no dims: they are left out.
    return Object.fromEntries(
      Object.entries(results).flatMap(([name, value]) => (value.dims ? [[name, fromOrt(value)]] : [])),
    )
  },
  async time({ session, feeds, warmUp, runs }) {
    const given = tensorsOf(feeds)
    const times = []
    for (let i = -warmUp; i < runs; i++) {
      const start = performance.now()
      await sessions.get(session).run(given)
      if (i >= 0) times.push(performance.now() - start)
    }
    return { times, memory: process.memoryUsage().rss, peak: process.resourceUsage().maxRSS * 1024 }
  },
  async release({ session }) {
    await sessions.get(session).release()
    sessions.delete(session)
  },
}

process.on('message', async ({ id, kind, ...job }) => {
  try {
    process.send({ id, result: await jobs[kind](job) })
  } catch (error) {
    process.send({ id, error: String(error?.message ?? error) })
  }
})
process.on('disconnect', () => process.exit(0))
