import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    pool: 'forks',
    // Outputs of bundlers run in Node as they are.
    server: { deps: { external: [/[\\/]\.cache[\\/]/] } },
    globalSetup: ['test/support/global-setup.ts'],
  },
})
