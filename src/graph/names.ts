/** Gives out names that occur nowhere in a model, for values and nodes alike. */
export class Names {
  readonly #taken = new Set<string>()
  readonly #next = new Map<string, number>()

  /** Marks a name of the model as taken. */
  reserve(name: string): void {
    this.#taken.add(name)
  }

  /** `wish` itself if it is free, else `wish_1`, `wish_2`, ... */
  fresh(wish: string): string {
    let name = wish
    while (this.#taken.has(name) || name === '') {
      const n = (this.#next.get(wish) ?? 0) + 1
      this.#next.set(wish, n)
      name = `${wish}_${n}`
    }
    this.#taken.add(name)
    return name
  }
}
