/** Runs a task at some time; the promise is the task's. */
export type Queue = <T>(task: () => Promise<T>) => Promise<T>

/** A queue that runs one task at a time, in order; a failed task does not stop those after it. */
export function serialQueue(): Queue {
  let last: Promise<unknown> = Promise.resolve()
  return (task) => {
    const result = last.then(task)
    last = result.catch(() => {})
    return result
  }
}
