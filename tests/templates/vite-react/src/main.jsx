import { createRoot } from 'react-dom/client'

document.title = import.meta.env.VITE_APP_TITLE
createRoot(document.getElementById('root')).render(<a href={import.meta.env.VITE_API_URL}>API</a>)
if (import.meta.env.DATABASE_PASSWORD) throw new Error('no variable without the prefix')
