import { predict } from './predict.ts'

document.getElementById('browser')!.textContent = await predict()
