import { expect, it } from 'vitest'
import { stages } from '../../infra/stages.ts'
import { declareStage, takeInventory } from './mocks.ts'

for (const stage of stages) {
  // After an intended change: npx vitest run test/infra/inventory.test.ts -u, then review the diff.
  it(`${stage} consists of the resources of its inventory`, async () => {
    const inventory = await takeInventory(declareStage(stage))
    await expect(`${JSON.stringify(inventory, null, 2)}\n`).toMatchFileSnapshot(`inventory/${stage}.json`)
  })
}
