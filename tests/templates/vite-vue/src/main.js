import { createApp } from 'vue'
import { initializeApp } from 'firebase/app'
import App from './App.vue'

initializeApp({ apiKey: import.meta.env.VITE_FIREBASE_API_KEY })
createApp(App, { api: import.meta.env.VITE_API_URL }).mount('#app')
